package reports

import "fmt"

// tongue is a language that pages are written in.
type tongue string

// Lang is the language's tag, for lang attributes.
func (l tongue) Lang() string { return string(l) }

// T is the entry of the word table for a key, in this language, with the
// arguments put in.
func (l tongue) T(key string, args ...any) string {
	w, ok := words[key]
	if !ok {
		panic("reports: there was believed to be a word " + key)
	}
	s := w[0]
	if l == "en" {
		s = w[1]
	}
	if len(args) == 0 {
		return s
	}
	return fmt.Sprintf(s, args...)
}

// words are all strings that readers see, in Japanese and in English. Terms
// are those of Japan's official statistics.
var words = map[string][2]string{
	// Around every page.
	"brand":       {"巡り Meguri", "Meguri"},
	"brand.sub":   {"地域のお金とデータを巡らせる", "Money and data going round in the region"},
	"skip":        {"本文へ移動", "Skip to content"},
	"nav":         {"メニュー", "Menu"},
	"user":        {"%sさん", "%s"},
	"logout":      {"ログアウト", "Log out"},
	"demo":        {"デモデータ（架空）", "Demo data (fictitious)"},
	"demo.detail": {"この画面の数値はすべて架空のものです。", "All numbers on this page are made up."},
	"foot":        {"この画面には、個人を特定できない統計だけを表示しています。", "These pages show statistics only, in which no person can be identified."},
	"dot":         {"・", " · "},
	"range":       {"%[1]s～%[2]s", "%[1]s to %[2]s"},

	// Login, home, problem, list of shops.
	"login.title":    {"ログイン", "Log in"},
	"login.lead":     {"お渡ししたIDとパスワードを入力してください。", "Enter the ID and the password that you were given."},
	"login.user":     {"ID", "ID"},
	"login.password": {"パスワード", "Password"},
	"login.button":   {"ログインする", "Log in"},
	"login.problem":  {"ログインできませんでした", "You could not be logged in"},
	"home.title":     {"ホーム", "Home"},
	"home.lead":      {"見たいものを選んでください。", "Choose what you want to see."},
	"home.none":      {"表示できる画面がありません。事務局にお問い合わせください。", "There is no page for you yet. Please ask the office."},
	"problem.status": {"エラー番号 %d", "Error %d"},
	"problem.back":   {"ホームへ戻る", "Back to home"},
	"shops.title":    {"店舗レポート", "Shop reports"},
	"shops.lead":     {"店舗を選ぶと、画面で見るレポートが開きます。印刷にはPDFをお使いください。", "Choose a shop to open its report on screen. Use the PDF for printing."},
	"shops.caption":  {"店舗の一覧", "List of shops"},
	"shops.name":     {"店名", "Shop"},
	"shops.industry": {"業種", "Industry"},
	"shops.pdf":      {"PDF", "PDF"},
	"shops.pdf.of":   {"%sのPDF", "PDF for %s"},
	"shops.none":     {"表示できる店舗がありません。", "There is no shop to show."},

	// Every report.
	"period":   {"期間", "Period"},
	"released": {"発行日", "Issued"},
	"asof":     {"データの時点", "Data as of"},
	"table":    {"表で見る", "See as a table"},
	"csv":      {"CSVで保存", "Download CSV"},
	"csv.of":   {"CSVで保存：%s", "Download CSV: %s"},
	"def":      {"この数字の定義", "Definition of this number"},
	"defs":     {"これらの数字の定義", "Definitions of these numbers"},

	"def.metric":   {"指標", "Metric"},
	"def.formula":  {"計算式", "Formula"},
	"def.rule":     {"取り決め", "Rules"},
	"def.window":   {"対象期間", "Window"},
	"def.counts":   {"期間の数え方", "Which days count"},
	"def.asof":     {"データの時点", "Data as of"},
	"def.later":    {"後からの変更", "Later changes"},
	"def.source":   {"出典", "Source"},
	"def.rules":    {"秘匿の規則", "Suppression rules"},
	"def.rules.is": {"版 %[1]s、利用者%[2]d人未満のセルを秘匿", "version %[1]s; cells with fewer than %[2]d persons are suppressed"},
	"def.rules.rounding": {"版 %[1]s、丸め：件数は%[2]dの倍数で、内訳を足すと合計になるように上下させています。元の値は公表しません",
		"version %[1]s; rounded: counts are multiples of %[2]d, brought up or down so that they still add up. The original figures are not published"},
	"def.rules.cell_key": {"版 %[1]s、摂動：人数に小さな増減を加えています。同じ人々にはどの表でも同じ増減を使うため、内訳の和は合計とわずかに違います。元の値は公表しません",
		"version %[1]s; perturbed: a little is added to or taken from counts of persons, always the same for the same persons, so parts do not quite add up to the total. The original figures are not published"},
	"def.hidden":      {"秘匿したセル", "Suppressed cells"},
	"def.hidden.n":    {"%[1]d件（%[2]s）", "%[1]d (%[2]s)"},
	"def.regions":     {"合算した地区", "Areas put together"},
	"def.regions.is":  {"%[1]sは一つの地区として集計", "%[1]s are counted as one"},
	"def.regions.and": {"、", "; "},

	// The office's page of reasons.
	"office.title":   {"公表の記録", "What was released"},
	"office.lead":    {"公表した表と、セルごとの秘匿の理由です。運営事務局だけが見られます。", "The released tables, and why each cell is suppressed. For the operating office alone."},
	"office.none":    {"公表した表はまだありません。", "Nothing was released yet."},
	"office.secret":  {"秘匿の理由は、値を推測する手がかりになります。事務局の外に出さないでください。", "Reasons are hints at the values. They must not leave the office."},
	"office.release": {"公表の記録 %d番", "Release no. %d"},
	"office.number":  {"番号", "No."},
	"office.cut":     {"分類", "Cut"},
	"office.cell":    {"セル", "Cell"},
	"office.reason":  {"秘匿の理由", "Why it is suppressed"},
	"office.total":   {"全体", "Total"},
	"office.nothing": {"秘匿したセルはありません。", "No cell is suppressed."},

	"reason.few-persons":   {"利用者が少ない", "too few persons"},
	"reason.few-operators": {"運営者が少ない（同じ運営者の店舗は1店と数える）", "too few operators (shops of one operator are one)"},
	"reason.dominance":     {"一者の割合が大きい", "one of them has too large a part"},
	"reason.group":         {"ある層のほぼ全員がこのセルにいる", "nearly all of a group are in the cell"},
	"reason.empty":         {"だれもいない（いないことも知らせない）", "nobody is in it, which is not told either"},
	"reason.small-area":    {"地区が小さい", "the area is too small"},
	"reason.between":       {"ほかの期間の公表との差が秘匿にあたる", "what lies between two releases is sensitive"},
	"reason.earlier":       {"先に公表した表で秘匿した", "suppressed in an earlier release"},
	"reason.secondary":     {"ほかの秘匿セルを引き算で求められないようにする", "it would give another suppressed cell away"},
	"reason.unrecorded":    {"理由を記録する前の公表", "released before reasons were kept"},
	"def.snapshot":         {"データの版", "Snapshot"},
	"def.issued":           {"公表処理の時刻", "Released at"},

	"week.partial":  {"＊印は7日に満たない週です。", "Weeks marked * have fewer than seven days."},
	"week.star":     {"%s＊", "%s*"},
	"msg.week":      {"%[1]sが最も多かったのは%[2]sからの週で、%[3]sでした。", "%[1]s peaked in the week from %[2]s, at %[3]s."},
	"msg.week.last": {"%[1]sは%[2]sからの週が最も多く%[3]s、直近の%[4]sからの週は%[5]s（前週比%[6]s）でした。", "%[1]s peaked in the week from %[2]s, at %[3]s; in the latest full week, from %[4]s, it was %[5]s (%[6]s on the week before)."},
	"msg.rank.yen":  {"純利用額が最も多い業種は%[1]sで%[2]s、全体の%[3]sです。", "%[1]s had the highest net amount used, %[2]s, which is %[3]s of the total."},
	"msg.rank":      {"%[3]sが最も多い業種は%[1]sで、%[2]sです。", "%[1]s came first in %[3]s, with %[2]s."},
	"msg.agesex":    {"利用者が最も多いのは%[1]sの%[2]sで、%[3]sです。", "The largest group of users is %[2]s, %[1]s: %[3]s."},
	"msg.slot":      {"来店が最も多いのは%[1]s曜日の%[2]s台で、%[3]sでした。", "Visits were most frequent on %[1]s at %[2]s o'clock: %[3]s."},
	"msg.new":       {"はじめて来店が確認された方は%[1]s、以前からの方は%[2]sです。", "%[1]s were seen for the first time, and %[2]s had come before."},
	"msg.none":      {"期間中に公表できる値はありません。", "There is no value that can be shown for this period."},

	"change.up":    {"%s増", "up %s"},
	"change.down":  {"%s減", "down %s"},
	"change.still": {"増減なし", "no change"},

	// The city's dashboard.
	"ebpm.title":        {"EBPMダッシュボード", "EBPM dashboard"},
	"ebpm.lead":         {"証拠に基づく政策立案（EBPM）のための統計です。", "Statistics for evidence-based policy making."},
	"ebpm.summary":      {"概況", "Overview"},
	"ebpm.weekly":       {"週ごとの推移", "Week by week"},
	"ebpm.industry":     {"業種", "Industries"},
	"ebpm.who":          {"利用者の年代・性別", "Age and sex of users"},
	"ebpm.when":         {"曜日・時間帯", "Day of week and hour"},
	"ebpm.week.yen":     {"週別の純利用額", "Net amount used by week"},
	"ebpm.week.persons": {"週別の利用者数", "Users by week"},
	"ebpm.ind.yen":      {"業種別の純利用額", "Net amount used by industry"},
	"ebpm.ind.persons":  {"業種別の利用者数", "Users by industry"},
	"ebpm.agesex":       {"年代・性別の利用者数", "Users by age band and sex"},
	"ebpm.slot":         {"曜日・時間帯別の来店回数", "Visits by day of week and hour"},
	"ebpm.add":          {"利用者数は、業種や週をまたいで足すと同じ人を重ねて数えるため、合計は別に数えています。", "Users are never summed over industries or weeks, which counts people twice: totals are counted on their own."},

	"tile.net":         {"純利用額", "Net amount used"},
	"tile.net.sub":     {"取消しを除いた額（発生日基準）", "After cancellations, by day of payment"},
	"tile.visits":      {"来店回数", "Visits"},
	"tile.visits.sub":  {"同じ人・同じ店・同じ日を1回と数えます", "One per person, shop and day"},
	"tile.persons":     {"利用者数", "Users"},
	"tile.persons.sub": {"重複のない人数", "Distinct persons"},
	"tile.mean":        {"客単価（平均）", "Per visit (mean)"},
	"tile.mean.sub":    {"中央値 %s", "Median %s"},
	"tile.median":      {"客単価（中央値）", "Per visit (median)"},
	"tile.median.sub":  {"平均 %s", "Mean %s"},
	"tile.history":     {"リピーター率（履歴基準）", "Returning (history)"},
	"tile.history.sub": {"利用者%[1]sのうち%[2]sが、期間より前にも利用", "Of %[1]s, %[2]s had used it before the period too"},
	"tile.within":      {"リピーター率（期間内基準）", "Returning (within period)"},
	"tile.within.sub":  {"利用者%[1]sのうち%[2]sが、期間内に2日以上利用", "Of %[1]s, %[2]s came on two or more days of the period"},

	"rules.title": {"秘匿の規則", "How small numbers are protected"},
	"rules.few":   {"利用者が%d人未満のセルは、個人が推測されるおそれがあるため公表しません。「― 秘匿」と表示します。", "A cell with fewer than %d users is not published, because a person might be guessed from it. It reads “― Suppressed”."},
	"rules.sum":   {"秘匿したセルを引き算で求められないように、ほかのセルも秘匿することがあります。", "Other cells may be suppressed too, so that a suppressed one cannot be had by subtraction."},
	"rules.more":  {"秘匿のきまり（くわしく）", "More about how small numbers are protected"},
	"rules.zero":  {"秘匿は0ではありません。だれも利用しなかったセルは0と表示します。", "Suppressed is not 0. A cell in which nobody paid reads 0."},
	"rules.nan":   {"「未観測」は、まだ数えられない値です。たとえば、これから来る週の値です。", "“Not observed” is a value that cannot be counted yet, such as that of a week to come."},
	"rules.same":  {"画面・表・CSV・PDFのどれでも、同じセルを秘匿します。", "The same cells are suppressed on screen, in tables, in CSV and in PDF."},

	// The shop's report.
	"shop.title":   {"お店のレポート", "Shop report"},
	"shop.of":      {"%sのレポート", "Report for %s"},
	"shop.pdf":     {"印刷用PDF", "PDF for printing"},
	"shop.few":     {"期間中の利用者が%d人に満たないため、このレポートの数値は公表しません。", "Fewer than %d people used this shop in the period, so this report shows no numbers."},
	"shop.few.why": {"少ない人数の統計からは、だれの利用かが推測されるおそれがあるためです。期間を長くすると表示できることがあります。", "From statistics on few people one might guess who they are. A longer period may have enough."},
	"shop.p1":      {"今期のまとめ", "This period at a glance"},
	"shop.p2":      {"お客さま", "Your customers"},
	"shop.week":    {"週別の純利用額", "Net amount used by week"},
	"shop.slot":    {"曜日・時間帯別の来店回数", "Visits by day of week and hour"},
	"shop.agesex":  {"年代・性別の利用者数", "Users by age band and sex"},
	"shop.new":     {"新規・既存の利用者数", "New and returning users"},
	"shop.repeat":  {"リピーター率", "Returning users"},
	"shop.finding": {"今期わかったこと", "What this period shows"},
	"shop.page":    {"%[1]d／%[2]dページ", "Page %[1]d of %[2]d"},
	"new":          {"新規（はじめて）", "New"},
	"returning":    {"既存（2回目以降）", "Returning"},

	"find.strong":      {"強み", "Strength"},
	"find.change":      {"変化", "Change"},
	"find.next":        {"次の一手", "Next step"},
	"find.slot":        {"%[1]s曜日の%[2]s台に、お客さまが最も多く来ています。", "Most customers come on %[1]s at %[2]s o'clock."},
	"find.slot.ev":     {"根拠：その時間帯の来店回数 %s（M02）", "Evidence: %s in that slot (M02)"},
	"find.trend":       {"直近%[1]d週の純利用額は、その前の%[1]d週に比べ%[2]sです。", "In the last %[1]d weeks the net amount used was %[2]s on the %[1]d weeks before."},
	"find.trend.ev":    {"根拠：%[1]sから%[2]sへ（M01a、7日そろった週）", "Evidence: from %[1]s to %[2]s (M01a, full weeks)"},
	"find.new":         {"はじめての方が多い期間でした。次の来店につながる案内を店頭に出してみましょう。", "Many came for the first time. A sign in the shop can invite them to come again."},
	"find.returning":   {"前からの方に支えられています。はじめての方に向けた案内も店頭に出してみましょう。", "People who know you carry the shop. A sign in the shop can welcome newcomers too."},
	"find.new.ev":      {"根拠：新規 %[1]s、既存 %[2]s（M06）", "Evidence: %[1]s new, %[2]s returning (M06)"},
	"find.none":        {"公表できる値が少ないため、今期の気づきはありません。", "Too few values can be shown to say anything about this period."},
	"terms":            {"ことばの説明", "Words"},
	"terms.net":        {"純利用額：使われた額から、取り消された額を引いた額です。", "Net amount used: what was paid in your shop, less what was cancelled."},
	"terms.visits":     {"来店回数：同じ方が同じ日に何度払っても、1回と数えます。", "Visits: a person who pays several times on a day counts once."},
	"terms.median":     {"客単価（中央値）：1回に使われた額を順に並べた、真ん中の額です。", "Amount per visit (median): the middle one of all visits' amounts."},
	"terms.repeat":     {"リピーター率：履歴基準は期間より前にも来た方、期間内基準は期間内に2日以上来た方の割合です。", "Returning: (history) those who came before the period too; (within period) those who came on two days or more."},
	"terms.suppressed": {"秘匿（―）：%d人未満の値は公表しません。0ではありません。", "Suppressed (―): values of fewer than %d people are not shown. It is not 0."},
	"terms.unobserved": {"未観測（…）：まだ数えられない値です。", "Not observed (…): it cannot be counted yet."},

	// Files.
	"suppressed":   {"秘匿", "Suppressed"},
	"unobserved":   {"未観測", "Not observed"},
	"file.note":    {"秘匿は人数が少ないため公表しない値で、0ではありません。", "Suppressed values are not published because few persons stand behind them; they are not 0."},
	"unit.yen":     {"円", "yen"},
	"unit.persons": {"人", "persons"},
	"unit.visits":  {"回", "visits"},
	"unit.count":   {"件", "count"},
	"unit.ratio":   {"比率", "ratio"},
	"unit.rate":    {"平均", "rate"},
}
