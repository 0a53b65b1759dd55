package ingest

import (
	"fmt"
	"strings"
	"time"
)

// MitakaColumns are the columns of 取引管理 CSVダウンロード of Mitaka City's
// regional points and digital vouchers, by the operators' manual. They may
// stand in any order, but none may be missing and none may be added: a new
// column may hold personal data that nobody has decided about.
var MitakaColumns = []string{
	"tranId", "serviceOperatorId", "serviceId", "serviceDisplayName", "serviceType",
	"operationType", "operationId", "operationName", "merchantDisplayName", "merchantId",
	"shopDisplayName", "shopId", "terminalDisplayName", "terminalId", "terminalType",
	"uid", "amount", "beforeValue", "afterValue", "note1",
	"note2", "note3", "targetAmount", "targetTranId", "from",
	"to", "closed", "status", "createdAt", "updatedAt",
}

// mitakaSource is the source of the format's files unless another is named.
const mitakaSource = "mitaka"

// combinedPayment marks the rows of a payment made with several services.
const combinedPayment = "利用（複数サービス決済）"

// mitakaParser reads rows of the format mitaka-transactions.
type mitakaParser struct {
	source string
	hash   hasher
	at     struct { // the columns' positions
		tranID, serviceID, serviceType, operationType, operationID, operationName,
		merchantID, shopName, shopID, terminalID, uid, amount, target, status, created int
	}
}

func newMitakaParser(source string, header []string) (*mitakaParser, error) {
	position, err := indexHeader(header)
	if err != nil {
		return nil, err
	}
	for _, name := range MitakaColumns {
		if _, ok := position[name]; !ok {
			return nil, &LineError{Line: 1, Field: name, Problem: "the column is missing",
				Remedy: "export the transactions with all 30 columns", Err: ErrMissingColumn}
		}
	}
	if len(header) > len(MitakaColumns) {
		known := make(map[string]bool, len(MitakaColumns))
		for _, name := range MitakaColumns {
			known[name] = true
		}
		for _, name := range header {
			if !known[name] {
				return nil, &LineError{Line: 1, Field: name, Problem: "the format does not have this column",
					Remedy: "remove it, or import the file as csv with a mapping that decides about it", Err: ErrUnknownColumn}
			}
		}
	}
	p := &mitakaParser{source: source}
	at := &p.at
	for name, place := range map[string]*int{
		"tranId": &at.tranID, "serviceId": &at.serviceID, "serviceType": &at.serviceType,
		"operationType": &at.operationType, "operationId": &at.operationID, "operationName": &at.operationName,
		"merchantId": &at.merchantID, "shopDisplayName": &at.shopName, "shopId": &at.shopID,
		"terminalId": &at.terminalID, "uid": &at.uid, "amount": &at.amount,
		"targetTranId": &at.target, "status": &at.status, "createdAt": &at.created,
	} {
		*place = position[name]
	}
	return p, nil
}

// indexHeader returns each column's position.
func indexHeader(header []string) (map[string]int, error) {
	position := make(map[string]int, len(header))
	for i, name := range header {
		if name == "" {
			return nil, &LineError{Line: 1, Field: fmt.Sprintf("number %d", i+1), Problem: "the column has no name",
				Remedy: "name it or remove it", Err: ErrUnknownColumn}
		}
		if _, twice := position[name]; twice {
			return nil, &LineError{Line: 1, Field: name, Problem: "the column name appears twice",
				Remedy: "remove or rename one of the two", Err: ErrDuplicateColumn}
		}
		position[name] = i
	}
	return position, nil
}

func (p *mitakaParser) parse(_ int64, f []string, r *Record) fault {
	at := &p.at
	*r = Record{
		Source:     p.source,
		ID:         f[at.tranID],
		ServiceID:  f[at.serviceID],
		PersonID:   f[at.uid],
		ShopID:     f[at.shopID],
		ShopName:   f[at.shopName],
		MerchantID: f[at.merchantID],
		TerminalID: f[at.terminalID],
		Active:     f[at.status] == "1",
	}
	if r.ID == "" {
		return fault{"tranId", "the transaction has no ID", "export the row again"}
	}
	direction := "ADD"
	switch f[at.operationID] {
	case "OP1":
		r.Kind, direction = Pay, "SUB"
	case "OP2":
		r.Kind = Grant
	case "OP3":
		r.Kind = Charge
	case "OP4":
		r.Kind, direction = Cancel, ""
	case "OP5":
		r.Kind, direction = GrantCancel, ""
	default:
		return fault{"operationId", "there is no such operation", "it is one of OP1, OP2, OP3, OP4, OP5"}
	}
	if direction != "" && f[at.operationType] != direction {
		return fault{"operationType", "the operation type contradicts operationId",
			"OP1 is SUB; OP2 and OP3 are ADD"}
	}
	switch f[at.serviceType] {
	case "1":
		r.ServiceType = Money
	case "2":
		r.ServiceType = Points
	case "3":
		r.ServiceType = Voucher
	default:
		return fault{"serviceType", "there is no such service type", "it is 1 (money), 2 (points) or 3 (vouchers)"}
	}
	if f[at.status] == "" {
		return fault{"status", "the status is empty", "1 is active, anything else cancelled"}
	}
	d, problem := parseDecimal(f[at.amount], 0)
	if problem == "" {
		r.AmountYen, problem = yen(RoundRefuse, d)
	}
	if problem != "" {
		return fault{"amount", "the amount " + problem, "write whole yen in digits"}
	}
	ok := false
	if r.OccurredAt, ok = parseTokyo(f[at.created]); !ok {
		return fault{"createdAt", "the time does not exist or is not in a known layout",
			"write it like 2024/02/13 18:47:15 or 2024-02-13T18:47:15+09:00"}
	}
	if r.Kind.takesBack() != "" {
		r.TargetID = f[at.target]
	}
	r.GroupID = r.ID
	if f[at.operationName] == combinedPayment {
		r.GroupID = p.hash.group(r)
	}
	bad := r.check()
	bad.field = mitakaColumn(bad.field)
	return bad
}

// mitakaColumn returns the format's word for a field of a record.
func mitakaColumn(field string) string {
	if name, ok := mitakaNames[field]; ok {
		return name
	}
	return field
}

var mitakaNames = map[string]string{
	"record_id": "tranId", "shop_id": "shopId", "amount_yen": "amount",
	"occurred_at": "createdAt", "target_id": "targetTranId",
}

// tokyo has had no summer time since 1951, so a fixed zone says the same as
// the zone file and needs none.
var tokyo = time.FixedZone("Asia/Tokyo", 9*60*60)

// parseTokyo reads the layouts seen in exports: 2023/11/10 0:00,
// 2024/02/13 18:47:15, the same with hyphens, and ISO 8601 with a T and
// optional fraction and zone. Without a zone the clock is Tokyo's.
func parseTokyo(s string) (time.Time, bool) {
	year, rest, ok := digits(s, 4, 4)
	if !ok || rest == "" || rest[0] != '/' && rest[0] != '-' {
		return time.Time{}, false
	}
	separator := rest[0]
	month, rest, ok := digits(rest[1:], 1, 2)
	if !ok || rest == "" || rest[0] != separator {
		return time.Time{}, false
	}
	day, rest, ok := digits(rest[1:], 1, 2)
	if !ok || rest == "" || month < 1 || month > 12 || day < 1 || day > daysIn(year, month) {
		return time.Time{}, false
	}
	if rest[0] == 'T' {
		for _, layout := range [...]string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02T15:04"} {
			if t, err := time.ParseInLocation(layout, s, tokyo); err == nil {
				return t, true
			}
		}
		return time.Time{}, false
	}
	if rest[0] != ' ' {
		return time.Time{}, false
	}
	hour, rest, ok := digits(rest[1:], 1, 2)
	if !ok || hour > 23 || !strings.HasPrefix(rest, ":") {
		return time.Time{}, false
	}
	minute, rest, ok := digits(rest[1:], 2, 2)
	if !ok || minute > 59 {
		return time.Time{}, false
	}
	second := 0
	if rest != "" {
		if rest[0] != ':' {
			return time.Time{}, false
		}
		if second, rest, ok = digits(rest[1:], 2, 2); !ok || second > 59 || rest != "" {
			return time.Time{}, false
		}
	}
	unix := int64(daysSince1970(year, month, day))*86400 + int64(hour*3600+minute*60+second) - 9*60*60
	return time.Unix(unix, 0).In(tokyo), true
}

// daysSince1970 counts days as time.Date does, which takes longer because it
// knows zones and months that overflow. Years begin in March, so that a leap
// day is the last.
func daysSince1970(year, month, day int) int {
	if month < 3 {
		year--
		month += 12
	}
	return 365*year + year/4 - year/100 + year/400 + (153*(month-3)+2)/5 + day - 719469
}

// digits reads between least and most digits from the start of s.
func digits(s string, least, most int) (n int, rest string, ok bool) {
	i := 0
	for i < len(s) && i < most && s[i]-'0' <= 9 {
		n = n*10 + int(s[i]-'0')
		i++
	}
	return n, s[i:], i >= least
}

func daysIn(year, month int) int {
	switch month {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	}
	return 31
}
