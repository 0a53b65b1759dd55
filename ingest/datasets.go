package ingest

import (
	"math/bits"
	"strings"
)

// The datasets beside payments. What they hold is what the model regions
// gathered: rides of a shopping vehicle and its stops, purchases with the lines
// of the register, surveys before and after, and what an app did.
var datasets = []*Dataset{
	define(&Dataset{
		Name: "purchase", Ja: "購買明細（POSの1行）", En: "a line of a shop's register (POS)",
		When: "sold_at", Yen: "amount_yen", check: checkPurchase, warn: warnPurchase,
		Fields: []Field{
			{Name: "person_id", Type: PersonField, Ja: "買った人。会員証の提示がなければ空", En: "who bought; empty when nobody showed a card",
				Sample: []string{"K-0001", "K-0001", ""}},
			{Name: "payment_id", Type: TextField, Ja: "決済の番号。決済の行と突き合わせる", En: "the number of the payment, to join it",
				Sample: []string{"P-7001", "P-7001", ""}},
			{Name: "receipt_id", Type: TextField, Required: true, Ja: "レシートの番号", En: "the number of the receipt",
				Sample: []string{"R-1001", "R-1001", "R-1002"}},
			{Name: "line_no", Type: IntegerField, Required: true, Ja: "レシートの行番号（1から）", En: "the line of the receipt, from 1",
				Sample: []string{"1", "2", "1"}},
			{Name: "shop_id", Type: ShopField, Required: true, Ja: "店舗", En: "the shop", Sample: []string{"s1"}},
			{Name: "merchant_id", Type: TextField, Few: true, Ja: "加盟店（店舗の持ち主）", En: "the merchant who owns the shop", Sample: []string{"m1"}},
			{Name: "sold_at", Type: InstantField, Required: true, Ja: "販売日時", En: "when it was sold",
				Sample: []string{"2026-10-01 10:02:11", "2026-10-01 10:02:11", "2026-10-01 10:20:40"}},
			{Name: "item_code", Type: TextField, Few: true, Ja: "商品コード。13桁・8桁の数字はJANとして検査数字を確かめ、合わなければ警告する",
				En:     "the item's code; 13 or 8 digits are a JAN, whose check digit is tried, with a warning when it fails",
				Sample: []string{"4901234567894", "49123456", "2000000000015"}},
			{Name: "item_name", Type: TextField, Few: true, MaxBytes: 512, Ja: "商品名", En: "the item's name", Sample: []string{"牛乳 1L", "食パン", "りんご（量り売り）"}},
			{Name: "category", Type: TextField, Few: true, Ja: "部門", En: "the shop's department", Sample: []string{"dairy", "bakery", "produce"}},
			{Name: "quantity", Type: QuantityField, Required: true, Ja: "数量。小数は3桁まで。返品は負でもよい", En: "how many or how much, up to three decimals; may be negative for a return",
				Sample: []string{"2", "1", "0.350"}},
			{Name: "unit_price_yen", Type: YenField, Required: true, Ja: "単価（円、0以上）", En: "yen for one, 0 or more", Sample: []string{"210", "180", "800"}},
			{Name: "discount_yen", Type: YenField, Ja: "値引（円、0以上、単価×数量まで）", En: "yen taken off, 0 or more, up to price × quantity", Sample: []string{"20", "", ""}},
			{Name: "amount_yen", Type: YenField, Required: true, Ja: "金額（円）。返品は負でもよい", En: "yen of the line; may be negative for a return", Sample: []string{"400", "180", "280"}},
			{Name: "target_id", Type: TextField, Ja: "返品が取り消す行のrecord_id", En: "the record_id of the line that a return takes back", Sample: []string{""}},
		},
	}),
	define(&Dataset{
		Name: "survey", Ja: "アンケートの回答（1問1行）", En: "an answer to a question of a survey",
		When: "answered_at", check: checkSurvey,
		Fields: []Field{
			{Name: "person_id", Type: PersonField, Required: true, Ja: "答えた人", En: "who answered", Sample: []string{"K-0001", "K-0001", "K-0002"}},
			{Name: "survey_id", Type: TextField, Few: true, Required: true, Ja: "アンケート", En: "the survey", Sample: []string{"shopping-2026"}},
			{Name: "wave", Type: CodeField, Required: true, Codes: []string{"before", "after", "other"}, Ja: "実証の前（before）・後（after）・そのほか（other）",
				En: "before or after the trial, or other", Sample: []string{"before", "after", "before"}},
			{Name: "answered_at", Type: InstantField, Required: true, Ja: "回答日時", En: "when it was answered",
				Sample: []string{"2026-09-20 14:00:00", "2026-11-05 09:30:00", "2026-09-21 08:10:00"}},
			{Name: "question_id", Type: TextField, Few: true, Required: true, Ja: "設問", En: "the question", Sample: []string{"wish", "wish", "fare"}},
			{Name: "answer_code", Type: TextField, Few: true, Ja: "選択肢", En: "the choice", Sample: []string{"vehicle", "delivery", ""}},
			{Name: "answer_number", Type: QuantityField, Ja: "数の回答（小数は3桁まで）", En: "an answer that is a number, up to three decimals", Sample: []string{"", "", "300"}},
			{Name: "answer_text", Type: TextField, MaxBytes: 8000, Ja: "自由回答。人の名前が書かれうるので、レイクには入れない",
				En: "free text; it may hold names and does not belong in the lake", Sample: []string{""}},
		},
	}),
	define(&Dataset{
		Name: "ride", Ja: "車両への乗車", En: "a ride in a vehicle",
		When: "boarded_at", check: checkRide,
		Fields: []Field{
			{Name: "person_id", Type: PersonField, Required: true, Ja: "乗った人", En: "who rode", Sample: []string{"K-0001", "K-0002", "K-0001"}},
			{Name: "vehicle_id", Type: TextField, Few: true, Required: true, Ja: "車両", En: "the vehicle", Sample: []string{"bus-1"}},
			{Name: "route_id", Type: TextField, Few: true, Ja: "路線", En: "the route", Sample: []string{"coast", "coast", "hill"}},
			{Name: "trip_id", Type: TextField, Few: true, Ja: "便", En: "the trip", Sample: []string{"coast-1", "coast-1", "hill-2"}},
			{Name: "stop_id", Type: TextField, Few: true, Required: true, Ja: "乗った停留所", En: "the stop where they boarded", Sample: []string{"park-2", "ocity", "park-2"}},
			{Name: "stop_area", Type: TextField, Few: true, Ja: "停留所の地区", En: "the area of that stop", Sample: []string{"30206001", "30206002", "30206001"}},
			{Name: "boarded_at", Type: InstantField, Required: true, Ja: "乗車日時", En: "when they boarded",
				Sample: []string{"2026-10-03 09:00:00", "2026-10-03 09:12:00", "2026-10-07 10:00:00"}},
			{Name: "alighted_stop_id", Type: TextField, Few: true, Ja: "降りた停留所", En: "the stop where they got off", Sample: []string{"market", "market", ""}},
			{Name: "alighted_at", Type: InstantField, Ja: "降車日時。乗車より前にならない", En: "when they got off, never before they boarded",
				Sample: []string{"2026-10-03 09:25:00", "2026-10-03 09:25:00", ""}},
		},
	}),
	define(&Dataset{
		Name: "event", Ja: "アプリの出来事", En: "an event of an app",
		When: "happened_at", check: checkEvent,
		Fields: []Field{
			{Name: "person_id", Type: PersonField, Ja: "利用者。ログイン前なら空", En: "the user; empty before they signed in", Sample: []string{"", "K-0001", "K-0001"}},
			{Name: "event", Type: CodeField, Required: true, Codes: []string{"download", "open", "notice_sent", "notice_opened"},
				Ja: "ダウンロード・起動・通知の送信・通知の開封", En: "what happened", Sample: []string{"download", "notice_sent", "notice_opened"}},
			{Name: "notice_id", Type: TextField, Few: true, Ja: "通知。notice_sentとnotice_openedでは必須", En: "the notice; notice_sent and notice_opened need it", Sample: []string{"", "n-12", "n-12"}},
			{Name: "programme_id", Type: TextField, Few: true, Ja: "事業", En: "the programme", Sample: []string{"mitaka-2026"}},
			{Name: "device_id", Type: TextField, Ja: "端末。利用者が空なら必須", En: "the device; needed where the user is empty", Sample: []string{"d-77", "", "d-77"}},
			{Name: "platform", Type: TextField, Few: true, Ja: "OSの種類", En: "the kind of system", Sample: []string{"ios"}},
			{Name: "happened_at", Type: InstantField, Required: true, Ja: "日時", En: "when it happened",
				Sample: []string{"2026-10-01 07:00:00", "2026-10-02 12:00:00", "2026-10-02 12:03:30"}},
		},
	}),
}

func checkPurchase(r *row) fault {
	quantity, price, discount := r.get("quantity").number, r.get("unit_price_yen").number, r.get("discount_yen").number
	switch {
	case r.get("line_no").number < 1:
		return fault{"line_no", "the line is no number from 1 on", "count the lines of a receipt from 1"}
	case quantity == 0:
		return fault{"quantity", "the quantity is 0", "leave out lines of which nothing was sold"}
	case price < 0:
		return fault{"unit_price_yen", "the price is negative", "write a return with a negative quantity or amount"}
	case discount < 0:
		return fault{"discount_yen", "the discount is negative", "write what is taken off as a positive number"}
	case discount > 0 && exceeds(discount, price, quantity):
		return fault{"discount_yen", "the discount is more than price × quantity", "correct the discount, the price or the quantity"}
	case r.amount() < 0 && quantity > 0 && !r.get("target_id").set:
		return fault{"amount_yen", "the amount is negative and the line is no return",
			"give the ID of the line that is taken back (target_id), or a negative quantity"}
	case r.amount() > 0 && quantity < 0:
		return fault{"amount_yen", "the amount is positive and the quantity negative", "correct the sign of one of the two"}
	case r.get("target_id").set && r.get("target_id").text == r.values[recordIDAt].text:
		return fault{"target_id", "the line takes itself back", "give the ID of the line that was sold"}
	}
	return fault{}
}

// exceeds tells whether yen is more than price × |thousandths| / 1000.
func exceeds(yen, price, thousandths int64) bool {
	if thousandths < 0 {
		thousandths = -thousandths
	}
	hi, lo := bits.Mul64(uint64(price), uint64(thousandths))
	thisHi, thisLo := bits.Mul64(uint64(yen), 1000)
	return thisHi > hi || thisHi == hi && thisLo > lo
}

// warning is something strange in a row that is taken all the same.
type warning struct{ field, problem string }

func warnPurchase(r *row) warning {
	if code := r.get("item_code").text; looksLikeJAN(code) && !validJAN(code) {
		return warning{"item_code", "the check digit of a JAN does not hold: look for a mistyped or shortened code"}
	}
	return warning{}
}

func looksLikeJAN(code string) bool {
	return (len(code) == 13 || len(code) == 8) && strings.Trim(code, "0123456789") == ""
}

// validJAN computes the check digit: from the right, digits weigh 3 and 1 in
// turn.
func validJAN(code string) bool {
	sum, weight := 0, 3
	for i := len(code) - 2; i >= 0; i-- {
		sum += int(code[i]-'0') * weight
		weight = 4 - weight
	}
	return (10-sum%10)%10 == int(code[len(code)-1]-'0')
}

func checkSurvey(r *row) fault {
	if !r.get("answer_code").set && !r.get("answer_number").set && !r.get("answer_text").set {
		return fault{"answer_code", "the row holds no answer", "give a code, a number or a text, or leave the row out"}
	}
	return fault{}
}

// longestRide is longer than any ride in a city: what lasts longer is a
// forgotten check-out.
const longestRide = 24 * 60 * 60 * 1_000_000

func checkRide(r *row) fault {
	boarded, alighted := r.get("boarded_at").number, r.get("alighted_at")
	switch {
	case !alighted.set:
	case alighted.number < boarded:
		return fault{"alighted_at", "they got off before they boarded", "correct one of the two times"}
	case alighted.number-boarded > longestRide:
		return fault{"alighted_at", "the ride lasts more than a day", "correct the time, or leave it out"}
	}
	return fault{}
}

func checkEvent(r *row) fault {
	notice := strings.HasPrefix(r.get("event").text, "notice_")
	switch {
	case notice && !r.get("notice_id").set:
		return fault{"notice_id", "a notice is sent or opened, and none is named", "export the row with its notice"}
	case !r.get("person_id").set && !r.get("device_id").set:
		return fault{"person_id", "the row names neither a person nor a device", "export the row with one of the two"}
	}
	return fault{}
}

func joinWords(words []string) string { return strings.Join(words, ", ") }
