package reports

import (
	"archive/zip"
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"meguri/analytics/disclosure"
)

// BundleFormat is the version of the manifest's form.
const BundleFormat = "meguri-bundle/1"

// Names of a bundle's members that are no tables.
const (
	manifestName  = "manifest.json"
	signatureName = "manifest.json.sig" // 64 bytes, Ed25519 over the manifest's bytes (RFC 8032)
	readmeName    = "README.md"
)

// largestMember is how many bytes of one member are read when a bundle is
// checked: a ZIP of nothing may claim to be anything.
const largestMember = 64 << 20

// Manifest says what is in a bundle, for whom and for what.
type Manifest struct {
	Format       string          `json:"format"`
	Contract     string          `json:"contract"`
	Organisation string          `json:"organisation"`
	PurposeID    string          `json:"purpose_id"`
	Purpose      string          `json:"purpose"` // 利用目的, in words
	Period       string          `json:"period"`
	From         string          `json:"from"`
	To           string          `json:"to"`
	KeyID        string          `json:"key_id"` // see KeyID
	Files        []BundleFile    `json:"files"`
	Omitted      []BundleOmitted `json:"omitted"` // tables of the contract that are not released
}

// BundleFile is a member of a bundle. What is about tables is empty for README.md.
type BundleFile struct {
	Name        string `json:"name"`
	SHA256      string `json:"sha256"` // hexadecimal
	Bytes       int    `json:"bytes"`
	MediaType   string `json:"media_type"`
	Metric      string `json:"metric,omitempty"`
	Cut         string `json:"cut,omitempty"` // dimensions joined by +
	From        string `json:"from,omitempty"`
	To          string `json:"to,omitempty"`
	RuleSet     string `json:"rule_set,omitempty"`
	Method      string `json:"method,omitempty"` // none is suppression
	ReleaseHash string `json:"release_hash,omitempty"`
	Cells       *int   `json:"cells,omitempty"`
	HiddenCells *int   `json:"hidden_cells,omitempty"`
}

// BundleOmitted is a table that the gate does not let out. The reason is a hint,
// and is not told.
type BundleOmitted struct {
	Metric string `json:"metric"`
	Cut    string `json:"cut"`
}

// Errors of bundles that are not what they should be.
var (
	ErrBundleSignature = errors.New("the bundle is not signed by this key")
	ErrBundleContent   = errors.New("the bundle does not agree with its manifest")
)

// KeyID is the short name of a public key: the first 16 hexadecimal digits of
// its SHA-256.
func KeyID(key ed25519.PublicKey) string {
	sum := sha256.Sum256(key)
	return hex.EncodeToString(sum[:8])
}

// Bundle writes a ZIP with each table as SDMX-CSV and as JSON-stat, a README in
// Japanese and English, a manifest and its signature. The head gives what the
// manifest says about the contract; its files and key are filled in. The same
// releases and key give the same bytes: members are in order, stored, and of the
// time zero of ZIP. It returns the manifest's SHA-256 in hexadecimal.
func Bundle(w io.Writer, head Manifest, tables []disclosure.Released, key ed25519.PrivateKey) (hash string, err error) {
	if len(key) != ed25519.PrivateKeySize {
		return "", errors.New("make bundle: there is no key to sign it with")
	}
	head.Format, head.KeyID = BundleFormat, KeyID(key.Public().(ed25519.PublicKey))
	head.Files = []BundleFile{}
	if head.Omitted == nil {
		head.Omitted = []BundleOmitted{}
	}
	members := map[string][]byte{}
	add := func(f BundleFile, content []byte) error {
		if _, twice := members[f.Name]; twice {
			return fmt.Errorf("make bundle: %s stands twice", f.Name)
		}
		sum := sha256.Sum256(content)
		f.SHA256, f.Bytes = hex.EncodeToString(sum[:]), len(content)
		members[f.Name] = content
		head.Files = append(head.Files, f)
		return nil
	}
	var rules disclosure.RuleSet
	var changed []disclosure.Released
	for _, r := range tables {
		release, err := Hash(r)
		if err != nil {
			return "", err
		}
		if methodOf(r) != "" {
			changed = append(changed, r)
		}
		if methodOf(r) == "" || rules.Audience == "" {
			rules = r.Rules()
		}
		base := "tables/" + strings.TrimSuffix(CSVName(r), ".csv")
		cells, hidden := len(r.Cells()), r.Hidden()
		about := BundleFile{
			Metric: r.Metric().ID, Cut: strings.Join(r.Query().By, "+"), From: r.Query().From, To: r.Query().To,
			RuleSet: ruleSet(r), Method: string(methodOf(r)), ReleaseHash: release, Cells: &cells, HiddenCells: &hidden,
		}
		var text, stat bytes.Buffer
		if err := SDMXCSV(&text, r); err != nil {
			return "", err
		}
		if err := JSONStat(&stat, r, "ja"); err != nil {
			return "", err
		}
		about.Name, about.MediaType = base+".csv", "text/csv"
		if err := add(about, text.Bytes()); err != nil {
			return "", err
		}
		about.Name, about.MediaType = base+".json", "application/json"
		if err := add(about, stat.Bytes()); err != nil {
			return "", err
		}
	}
	if err := add(BundleFile{Name: readmeName, MediaType: "text/markdown"}, readme(head, rules, changed)); err != nil {
		return "", err
	}
	slices.SortFunc(head.Files, func(a, b BundleFile) int { return strings.Compare(a.Name, b.Name) })
	var manifest bytes.Buffer
	e := json.NewEncoder(&manifest)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	if err := e.Encode(head); err != nil {
		return "", fmt.Errorf("make bundle: %w", err)
	}
	members[manifestName] = manifest.Bytes()
	members[signatureName] = ed25519.Sign(key, manifest.Bytes())

	z := zip.NewWriter(w)
	for _, f := range append([]BundleFile{{Name: manifestName}, {Name: signatureName}}, head.Files...) {
		member, err := z.CreateHeader(&zip.FileHeader{Name: f.Name, Method: zip.Store, Modified: time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)})
		if err == nil {
			_, err = member.Write(members[f.Name])
		}
		if err != nil {
			return "", fmt.Errorf("make bundle: %w", err)
		}
	}
	if err := z.Close(); err != nil {
		return "", fmt.Errorf("make bundle: %w", err)
	}
	sum := sha256.Sum256(manifest.Bytes())
	return hex.EncodeToString(sum[:]), nil
}

// VerifyBundle checks that a bundle's manifest is signed by a key, and that its
// members are those of the manifest, each once, to the byte, and no others.
func VerifyBundle(bundle []byte, key ed25519.PublicKey) (Manifest, error) {
	var m Manifest
	z, err := zip.NewReader(bytes.NewReader(bundle), int64(len(bundle)))
	if err != nil {
		return m, fmt.Errorf("%w: it is no ZIP: %v", ErrBundleContent, err)
	}
	members := map[string][]byte{}
	for _, f := range z.File {
		if _, twice := members[f.Name]; twice {
			return m, fmt.Errorf("%w: %q is in it twice", ErrBundleContent, f.Name)
		}
		if members[f.Name], err = member(f); err != nil {
			return m, fmt.Errorf("%w: %q cannot be read: %v", ErrBundleContent, f.Name, err)
		}
	}
	text, signature := members[manifestName], members[signatureName]
	if len(key) != ed25519.PublicKeySize || text == nil || !ed25519.Verify(key, text, signature) {
		return m, ErrBundleSignature
	}
	if err := json.Unmarshal(text, &m); err != nil || m.Format != BundleFormat {
		return m, fmt.Errorf("%w: its manifest is of another form", ErrBundleContent)
	}
	delete(members, manifestName)
	delete(members, signatureName)
	for _, f := range m.Files {
		content, there := members[f.Name]
		sum := sha256.Sum256(content)
		if !there || len(content) != f.Bytes || hex.EncodeToString(sum[:]) != f.SHA256 {
			return m, fmt.Errorf("%w: %q was changed or taken away", ErrBundleContent, f.Name)
		}
		delete(members, f.Name)
	}
	for name := range members {
		return m, fmt.Errorf("%w: %q is not in the manifest", ErrBundleContent, name)
	}
	return m, nil
}

func member(f *zip.File) (_ []byte, err error) {
	r, err := f.Open()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	content, err := io.ReadAll(io.LimitReader(r, largestMember+1))
	if err == nil && len(content) > largestMember {
		err = errors.New("it is too large")
	}
	return content, err
}

// readme says in plain words what is in a bundle and how small numbers are
// protected. The thresholds on shares are the office's, and not told.
func readme(m Manifest, rules disclosure.RuleSet, changed []disclosure.Released) []byte {
	var b bytes.Buffer
	methods := func(l tongue) {
		for i, r := range changed {
			if i == 0 || changed[i-1].Metric().ID != r.Metric().ID {
				fmt.Fprintf(&b, "- %s: %s\n", r.Metric().ID, l.protection(r))
			}
		}
	}
	fmt.Fprintf(&b, "# 統計表 %s\n\n", m.Period)
	fmt.Fprintf(&b, "提供先：%s（契約 %s）\n利用目的：%s\n期間：%s ～ %s（日本時間）\n\n", m.Organisation, m.Contract, m.Purpose, m.From, m.To)
	fmt.Fprintf(&b, "## 秘匿の規則（%s %s）\n\n", rules.Audience, rules.Version)
	fmt.Fprintf(&b, "- 利用者%d人未満、または店舗%d店未満のセルは秘匿します。\n", rules.MinPersons, rules.MinShops)
	b.WriteString("- 一人または一店の割合が大きいセル、ほかの秘匿セルを引き算で知る手がかりになるセルも秘匿します。\n")
	fmt.Fprintf(&b, "- 金額は%d円単位、人数・件数は%d単位に丸めています。合計が内訳の和と合わないことがあります。\n", max(1, rules.RoundYen), max(1, rules.RoundCount))
	methods("ja")
	b.WriteString("- 秘匿は0ではありません。JSON-stat では値 null・status \"c\"、SDMX-CSV では OBS_VALUE 空・OBS_STATUS \"Q\"・CONF_STATUS \"C\" です。\n")
	b.WriteString("- 未観測は 値 null・status \"m\"、OBS_STATUS \"O\" です。表にない組み合わせの金額・件数は0です。\n")
	b.WriteString("- 個別の秘匿の理由は、それ自体が手がかりになるため示しません。秘匿値を推計し、個人や店舗を特定しようとすることを禁じます。\n\n")
	b.WriteString("manifest.json は全ファイルの SHA-256 を、manifest.json.sig はその Ed25519 署名を持ちます。公開鍵は /statistics/v1/bundle-key にあります。\n\n")
	fmt.Fprintf(&b, "# Statistics %s\n\n", m.Period)
	fmt.Fprintf(&b, "Recipient: %s (contract %s)\nPurpose: %s\nWindow: %s to %s, Asia/Tokyo\n\n", m.Organisation, m.Contract, m.Purpose, m.From, m.To)
	fmt.Fprintf(&b, "## How small numbers are protected (%s %s)\n\n", rules.Audience, rules.Version)
	fmt.Fprintf(&b, "- A cell with fewer than %d persons or %d shops is suppressed.\n", rules.MinPersons, rules.MinShops)
	b.WriteString("- So is a cell of which one person or one shop is a large part, and one that would let another be had by subtraction.\n")
	fmt.Fprintf(&b, "- Amounts are rounded to %d yen, counts to %d. Totals may differ from the sums of their parts.\n", max(1, rules.RoundYen), max(1, rules.RoundCount))
	methods("en")
	b.WriteString("- Suppressed is not 0. In JSON-stat it is null with status \"c\"; in SDMX-CSV OBS_VALUE is empty, OBS_STATUS \"Q\" and CONF_STATUS \"C\".\n")
	b.WriteString("- Not observed is null with status \"m\", or OBS_STATUS \"O\". Amounts and counts of combinations that are not in a table are 0.\n")
	b.WriteString("- Why a single cell is suppressed is not said, because that is a hint. Do not try to work back to a person or a shop.\n\n")
	b.WriteString("manifest.json has the SHA-256 of every file, manifest.json.sig its Ed25519 signature. The public key is at /statistics/v1/bundle-key.\n")
	return b.Bytes()
}
