package analytics

// Sources of the definitions.
const (
	fromMitaka = "みたかデジタル商品券 取引管理・実績管理（売上実績＝利用−利用キャンセル）"
	fromMIC    = "総務省 決済データ利活用調査（地域ウォレット実証）"
	fromTrade  = "リピーター率・リピート率の慣用の定義。分母を必ず併記する"
	fromCohort = "コホート維持率の慣用の定義。CDNOW で検証"
)

const (
	untilToday    = "as of the lake's snapshot; a later cancel changes it"
	untilTodayJa  = "データの版の時点。後の取消によって変わる"
	asProcessedJa = "その日が終われば確定。後の取消は、取り消した日に数える"
	onPaymentJa   = "決済した日（日本時間）"
	asProcessed   = "fixed once the day is over; a later cancel counts on its own day"
)

var everyCut = []string{"month", "week", "day", "weekday", "hour", "industry", "shop", "shop_area", "age_band", "sex", "area"}
var periodCuts = []string{"month", "week", "industry", "shop", "shop_area", "age_band", "sex", "area"}
var personCuts = []string{"industry", "shop", "shop_area", "age_band", "sex", "area"}

// Metrics is the registry, in the order of the identifiers. Identifiers are
// never used again for another definition.
var Metrics = []Metric{
	{
		ID: "M01a", Ja: "純利用額（発生日基準）", En: "Net amount used, by day of payment",
		FormulaJa: "キャンセルされていない決済の金額の合計（決済した日に計上）",
		Formula:   "Σ amount of payments that were not cancelled, dated by the payment",
		Rule:      "a cancel takes the whole payment away from the day it was made on; charges, grants and test users are left out",
		RuleJa:    "キャンセルされた決済は、利用した日から除きます。チャージ・付与・テスト利用者は含みません。",
		Window:    "day of payment, Asia/Tokyo", WindowJa: onPaymentJa, AsOf: untilToday, AsOfJa: untilTodayJa, Source: fromMitaka,
		Measures: []Column{{"net_yen", "純利用額", "Net amount", Yen}}, Cuts: everyCut, SQL: "m01a",
	},
	{
		ID: "M01b", Ja: "純利用額（処理日基準）", En: "Net amount used, by day of processing",
		FormulaJa: "利用額の合計（利用した日）−取消・返金額の合計（処理した日）＋調整額",
		Formula:   "Σ payments (by day of payment) − Σ cancels and refunds (by day of cancel) + Σ adjustments",
		Rule:      "equals settlement; agrees with M01a over any span that holds both a payment and its cancel, where there are no refunds and adjustments",
		RuleJa:    "利用をその日の売上、キャンセル・返金をその処理日の減額として数えます。精算額と一致します。",
		Window:    "day of processing, Asia/Tokyo", WindowJa: "処理した日（日本時間）", AsOf: asProcessed, AsOfJa: asProcessedJa, Source: fromMitaka,
		Measures: []Column{
			{"net_yen", "純利用額", "Net amount", Yen},
			{"used_yen", "利用額", "Used", Yen},
			{"cancelled_yen", "取消・返金額", "Cancelled and refunded", Yen},
			{"used", "利用件数", "Payments", Count},
			{"cancelled", "取消・返金件数", "Cancels and refunds", Count},
			{"adjusted", "調整件数", "Adjustments", Count},
		}, Cuts: everyCut, Groups: true, SQL: "m01b",
	},
	{
		ID: "M02", Ja: "来店回数", En: "Visits",
		FormulaJa: "（利用者・店舗・日）の組の数。決済件数を併記",
		Formula:   "number of distinct (person, shop, day); beside it the number of payments",
		Rule:      "two payments at a shop within a day are one visit; a combined payment is one payment; payments without a person have no visit",
		RuleJa:    "同じ人が同じ店で同じ日に何度払っても1回と数えます。併用決済は1件の決済です。",
		Window:    "day of payment, Asia/Tokyo", WindowJa: onPaymentJa, AsOf: untilToday, AsOfJa: untilTodayJa, Source: fromMIC,
		Measures: []Column{{"visits", "来店回数", "Visits", Visits}, {"payments", "決済件数", "Payments", Count}, {"known_payments", "うち利用者が分かる決済", "of which by known persons", Count}},
		Cuts:     everyCut, SQL: "m02",
	},
	{
		ID: "M03", Ja: "利用者数", En: "Persons",
		FormulaJa: "決済のあった利用者の実人数",
		Formula:   "number of distinct persons with a payment",
		Rule:      "never added up across shops, days or classes: each total is counted anew",
		RuleJa:    "実人数です。店舗・日・区分の人数を足しても合計にはなりません。合計は数え直しています。",
		Window:    "day of payment, Asia/Tokyo", WindowJa: onPaymentJa, AsOf: untilToday, AsOfJa: untilTodayJa, Source: fromMIC,
		Measures: []Column{{"persons", "利用者数", "Persons", Persons}}, Cuts: everyCut, SQL: "m03",
	},
	{
		ID: "M04", Ja: "客単価", En: "Amount per visit",
		FormulaJa: "利用者が分かる純利用額の合計÷来店回数（M02）。中央値と四分位を併記",
		Formula:   "Σ net amount of known persons ÷ visits (M02); median and quartiles of the amount per visit beside it",
		Rule:      "the amount per payment (決済単価) is another number and says so",
		RuleJa:    "1回の来店あたりの純利用額です。平均のほか、中央値と四分位を示します。決済1件あたりは「決済単価」です。",
		Window:    "day of payment, Asia/Tokyo", WindowJa: onPaymentJa, AsOf: untilToday, AsOfJa: untilTodayJa, Source: fromMIC,
		Measures: []Column{
			{"yen_per_visit", "客単価（平均）", "Amount per visit (mean)", Yen},
			{"yen_per_payment", "決済単価（平均）", "Amount per payment (mean)", Yen},
			{"median_yen_per_visit", "客単価（中央値）", "Amount per visit (median)", Yen},
			{"p25_yen_per_visit", "客単価（下位25%）", "Amount per visit (lower quartile)", Yen},
			{"p75_yen_per_visit", "客単価（上位25%）", "Amount per visit (upper quartile)", Yen},
		}, Cuts: everyCut, Quartiles: true, SQL: "m04",
	},
	{
		ID: "M05", Ja: "利用頻度", En: "Visits per person",
		FormulaJa: "来店回数（M02）÷利用者数（M03）。初回利用から30日あたりの回数を併記",
		Formula:   "M02 ÷ M03; beside it per 30 days since each person's first use within the window",
		Rule:      "the second measure makes persons who joined late comparable",
		RuleJa:    "1人あたりの来店回数です。期間の途中で使い始めた人のため、初回利用から30日あたりの回数も示します。",
		Window:    "day of payment, Asia/Tokyo", WindowJa: onPaymentJa, AsOf: untilToday, AsOfJa: untilTodayJa, Source: fromMIC,
		Measures: []Column{
			{"visits_per_person", "1人あたり来店回数", "Visits per person", Rate},
			{"visits_per_30_days", "30日あたり来店回数", "Visits per 30 days", Rate},
		}, Cuts: personCuts, SQL: "m05",
	},
	{
		ID: "M06", Ja: "新規・既存", En: "New and returning",
		FormulaJa: "新規＝初めての来店が期間中にある人。既存＝期間中のそのほかの利用者",
		Formula:   "new = persons whose first visit ever observed falls in the window; returning = the other persons of the window",
		Rule:      "to a shop when the query names or is cut by shops, otherwise to the wallet; within 180 days of the data's beginning, new means first observed",
		RuleJa:    "期間中に初めて来店が確認された人を新規とします。データ開始から180日間は「初回観測」であり、以前からの客を含みます。",
		Window:    "day of payment, Asia/Tokyo; look-back to the beginning of the data", WindowJa: "決済した日（日本時間）。データの始まりまでさかのぼる", AsOf: untilToday, AsOfJa: untilTodayJa, Source: fromTrade,
		Measures: []Column{
			{"new_persons", "新規", "New", Persons},
			{"returning_persons", "既存", "Returning", Persons},
		}, Cuts: periodCuts, Groups: true, SQL: "m06",
	},
	{
		ID: "M07", Ja: "リピーター率", En: "Share of repeaters",
		FormulaJa: "履歴：期間前にも来店した人÷期間中の利用者。期間内：期間中に2回以上来店した人÷期間中の利用者",
		Formula:   "history: persons of the window seen before it ÷ persons of the window; within: persons with two or more visits in the window ÷ persons of the window",
		Rule:      "the denominator is the persons active in the window; a visit is a day, or a payment when the query says so",
		RuleJa:    "分母は期間中の利用者です。「履歴」は期間前にも来店した人、「期間内」は期間中に2回以上来店した人の割合です。",
		Window:    "day of payment, Asia/Tokyo", WindowJa: onPaymentJa, AsOf: untilToday, AsOfJa: untilTodayJa, Source: fromTrade,
		Measures: []Column{
			{"history", "リピーター率（履歴）", "Repeaters (history)", Ratio},
			{"within", "リピーター率（期間内）", "Repeaters (within)", Ratio},
			{"active", "期間中の利用者", "Persons in the window", Persons},
			{"returning", "うち期間前に来店", "of whom seen before", Persons},
			{"twice", "うち期間中2回以上", "of whom with two visits", Persons},
		}, Cuts: periodCuts, Groups: true, SQL: "m07",
	},
	{
		ID: "M08", Ja: "リピート率", En: "Repeat rate",
		FormulaJa: "期間中に来店した人のうち期間前にも来店した人÷それまでに来店したすべての人",
		Formula:   "persons of the window seen before it ÷ all persons ever seen up to the end of the base",
		Rule:      "falls by itself as the base grows, so it is read beside the age of the base; not the same as M07",
		RuleJa:    "分母はこれまでに来店したすべての人です。分母が増えるほど自然に下がります。リピーター率とは別の数字です。",
		Window:    "day of payment, Asia/Tokyo; base: up to the end of the window unless the query says otherwise", WindowJa: "決済した日（日本時間）。分母は、指定がなければ期間の終わりまで", AsOf: untilToday, AsOfJa: untilTodayJa, Source: fromTrade,
		Measures: []Column{
			{"repeat_rate", "リピート率", "Repeat rate", Ratio},
			{"returning", "期間中の再来店者", "Returning persons", Persons},
			{"base", "累計の利用者", "All persons seen", Persons},
		}, Cuts: personCuts, Groups: true, SQL: "m08",
	},
	{
		ID: "M10", Ja: "コホート維持率", En: "Cohort retention",
		FormulaJa: "初回利用月ごとの利用者のうち、その月に利用した人÷初回利用月の利用者",
		Formula:   "persons of a cohort active in a month ÷ size of the cohort; a cohort is the month of a person's first payment",
		Rule:      "month 0 is the whole cohort; a month that is not over within the window is not observed, never 0",
		RuleJa:    "初めて利用した月ごとの利用者が、その後の月に利用した割合です。まだ終わっていない月は「未観測」です。",
		Window:    "cohorts that begin in the window, followed to its end", WindowJa: "期間中に始まったコホートを、期間の終わりまで", AsOf: untilToday, AsOfJa: untilTodayJa, Source: fromCohort,
		Fixed: []Column{{Name: "cohort", Ja: "初回利用月", En: "Month of first use"}, {Name: "offset", Ja: "経過月", En: "Months since"}},
		Measures: []Column{
			{"size", "コホートの人数", "Size of the cohort", Persons},
			{"active", "利用者数", "Active persons", Persons},
			{"rate", "維持率", "Retention", Ratio},
		}, SQL: "m10",
	},
}
