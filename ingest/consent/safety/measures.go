package safety

// Measure is one point of the list.
type Measure struct {
	ID      string  `json:"id"`
	Section string  `json:"section"` // where it comes from
	Pattern Profile `json:"pattern"`
	Must    bool    `json:"must"`
	Ja      string  `json:"ja"`
	En      string  `json:"en"`
	Asked   bool    `json:"-"` // live, by the program's stores
	live    func(Site) Finding
}

// Live reports whether the program looks itself.
func (m Measure) Live() bool { return m.Asked || m.live != nil }

// Measures are all of them: sections 10-1 to 10-7 of the guideline's annex and
// what the Act asks for are the basic pattern, 強化 the enhanced one. Those without
// a live look are done outside of the software, and stated.
var Measures = []Measure{
	{ID: "policy", Section: "10-1 基本方針", Pattern: Basic, Must: true, Ja: "基本方針（事業者名、法令遵守、安全管理措置、問合せ窓口）を定めて公表する", En: "a policy with the operator's name, compliance, measures and a contact is published"},
	{ID: "rules", Section: "10-2 規律", Pattern: Basic, Must: true, Ja: "取得・利用・保存・提供・削除の段階ごとに取扱規程と責任者を定める（docs/safety/rules.md）", En: "rules and responsible persons for each stage (docs/safety/rules.md)"},
	{ID: "retention", Section: "10-2 規律", Pattern: Basic, Must: true, Asked: true, Ja: "保存期間を定める（retention.yaml、法22条）", En: "times of keeping are set (retention.yaml, Act 22)"},
	{ID: "responsible", Section: "10-3 組織的", Pattern: Basic, Must: true, Ja: "責任者と、だれがどのデータを扱うかを定める", En: "who is responsible, and who handles which data"},
	{ID: "inventory", Section: "10-3 組織的", Pattern: Basic, Ja: "個人データの台帳（項目、所管、目的、権限）を備える", En: "an inventory of personal data"},
	{ID: "incident", Section: "10-3 組織的", Pattern: Basic, Must: true, Ja: "漏えい等に対応する体制と報告経路を定める（docs/safety/incident.md、法26条）", En: "a plan and a line of report for breaches (docs/safety/incident.md, Act 26)"},
	{ID: "log", Section: "10-3 組織的", Pattern: Basic, Must: true, Asked: true, Ja: "アクセスの記録を残す（サーバーの1要求1行の記録）", En: "access is logged (one line for each request)"},
	{ID: "deletion-records", Section: "10-3 組織的", Pattern: Basic, Must: true, Asked: true, Ja: "削除の記録を残す（署名付き削除証明の鍵、途中の削除がない）", En: "deletion is recorded (key of signed receipts, no deletion left halfway)"},
	{ID: "audit", Section: "10-3 組織的", Pattern: Basic, Ja: "取扱状況を定期に点検・監査する", En: "periodic self-check or audit"},
	{ID: "contractors", Section: "10-3 組織的（法25条）", Pattern: Basic, Must: true, Ja: "委託先を選び、契約し、監督する。再委託を承認する（docs/safety/contractors.md）", En: "contractors are chosen, bound and watched; subcontracting is approved (docs/safety/contractors.md)"},
	{ID: "training", Section: "10-4 人的", Pattern: Basic, Must: true, Ja: "従業者を定期に教育し、記録する（docs/safety/training.md）", En: "staff are trained and it is recorded (docs/safety/training.md)"},
	{ID: "confidentiality", Section: "10-4 人的", Pattern: Basic, Ja: "就業規則等に秘密保持を定める", En: "confidentiality stands in the work rules"},
	{ID: "zones", Section: "10-5 物理的", Pattern: Basic, Must: true, Ja: "機械の置場を区切り、入退室と盗難を管理する", En: "the machines' place is closed off and watched"},
	{ID: "media", Section: "10-5 物理的", Pattern: Basic, Ja: "媒体の持出しを暗号化・記録する", En: "media are encrypted and recorded when they leave"},
	{ID: "disposal", Section: "10-5 物理的", Pattern: Basic, Must: true, Ja: "機器・媒体を復元できない手段で廃棄し、記録する", En: "machines and media are disposed of beyond recovery, on record"},
	{ID: "folders", Section: "10-6 技術的（アクセス制御）", Pattern: Basic, Must: true, live: folders, Ja: "データフォルダと鍵を持ち主だけが開ける", En: "only the owner opens the data folder and the keys"},
	{ID: "identification", Section: "10-6 技術的（識別と認証）", Pattern: Basic, Must: true, Asked: true, Ja: "画面とAPIは登録された職員・プログラムだけが使える", En: "pages and APIs are for registered staff and programs alone"},
	{ID: "firewall", Section: "10-6 技術的（不正アクセス）", Pattern: Basic, Must: true, Ja: "ファイアウォール、マルウェア対策、更新を行う", En: "firewall, protection from malware, updates"},
	{ID: "log-review", Section: "10-6 技術的（不正アクセス）", Pattern: Basic, Ja: "記録を定期に分析する", En: "logs are analysed regularly"},
	{ID: "listen", Section: "10-6 技術的（漏えい防止）", Pattern: Basic, Must: true, live: path, Ja: "通信経路を暗号化する（画面・API）", En: "the way of pages and APIs is encrypted"},
	{ID: "database", Section: "10-6 技術的（漏えい防止）", Pattern: Basic, Must: true, live: database, Ja: "データベースへの経路を暗号化し、相手を確かめる", En: "the way to the database is encrypted and verified"},
	{ID: "abroad", Section: "10-7 外的環境", Pattern: Basic, Ja: "外国で扱うときは、その国の制度を把握する", En: "foreign law is known where data are handled abroad"},
	{ID: "purposes", Section: "法21条・41条（P7）", Pattern: Basic, Must: true, Asked: true, Ja: "利用目的を公表している（meguri purpose list）", En: "purposes of use are published (meguri purpose list)"},
	{ID: "texts", Section: "法27条（C1・C4）", Pattern: Basic, Must: true, Asked: true, Ja: "同意文の版を登録している（meguri consent text list）", En: "the consent texts are registered (meguri consent text list)"},
	{ID: "records", Section: "法29条・30条（C5）", Pattern: Basic, Must: true, Asked: true, Ja: "同意・提供・請求の記録が改ざんされていない（鎖の検算）", En: "the log of consents, provisions and requests is unchanged (chain verified)"},
	{ID: "requests", Section: "法33〜36条（C7）", Pattern: Basic, Must: true, Asked: true, Ja: "開示等の請求に期限内に答えている", En: "requests of persons are answered in time"},
	{ID: "apart", Section: "法41条7項（P5・P11）", Pattern: Basic, Must: true, live: apart, Ja: "個人データ・鍵・レイクを別に置く", En: "personal data, keys and lake lie apart"},
	{ID: "profiles", Section: "強化（IC-11）", Pattern: Enhanced, Must: true, live: profiles, Ja: "生データを扱う部分を強化事例とする", En: "whatever holds raw data has the enhanced profile"},
	{ID: "managers", Section: "強化 体制", Pattern: Enhanced, Must: true, Ja: "個人データ管理責任者（1名）と部署ごとの管理者を置く", En: "one chief manager of personal data, and one in each department"},
	{ID: "stage-rules", Section: "強化 段階ごとの規程", Pattern: Enhanced, Must: true, Ja: "取得・入力／利用・加工／保管／移送／消去／漏えい対応の規程に、担当・最小限・照合・例外の承認・記録を定める", En: "rules for each stage: who, least data, reconciliation, approval of exceptions, records"},
	{ID: "passphrase", Section: "強化 技術（鍵）", Pattern: Enhanced, Must: true, live: passphrase, Ja: "合言葉を鍵と別に、持ち主だけが読めるところに置く", En: "the passphrase is apart from the keys, its owner's alone"},
	{ID: "keyset", Section: "強化 技術（鍵）", Pattern: Enhanced, Must: true, Asked: true, Ja: "仮IDの鍵を暗号化して置く（keys/keyset.json）", En: "the keys of pseudonyms are kept encrypted (keys/keyset.json)"},
	{ID: "disk-encryption", Section: "強化 技術（保管の保護）", Pattern: Enhanced, Must: true, Ja: "ディスクと控えを暗号化する（プログラムからは見えない）", En: "disks and backups are encrypted (a program cannot see it)"},
	{ID: "durable", Section: "強化 技術（障害・復旧）", Pattern: Enhanced, Must: true, Asked: true, Ja: "確定した取引が電源断で失われない", En: "what is committed survives a loss of power"},
	{ID: "backup", Section: "強化 技術（障害・復旧）", Pattern: Enhanced, Must: true, Ja: "控えを取り、年に一度復元を練習する", En: "backups are made, and restoring is exercised every year"},
	{ID: "access-review", Section: "強化 技術（権限）", Pattern: Enhanced, Ja: "権限の持ち主を四半期ごとに見直す（meguri access list、meguri analyst list）", En: "rights are reviewed every quarter (meguri access list, meguri analyst list)"},
	{ID: "monitoring", Section: "強化 技術（監視）", Pattern: Enhanced, Ja: "アクセスを分析し、監視・監査する", En: "access is analysed, watched and audited"},
	{ID: "nda", Section: "強化 人的", Pattern: Enhanced, Must: true, Ja: "非開示契約・教育・懲戒を定める", En: "non-disclosure contracts, training and discipline"},
}
