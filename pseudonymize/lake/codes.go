package lake

// Code is an entry of a code list: what stands in the lake, and what readers
// see.
type Code struct {
	Code string
	Ja   string
	En   string
}

// Industries are the twelve classes that shops are filed under, in the order
// in which they are shown. They group divisions of the Japan Standard
// Industrial Classification (日本標準産業分類) that a shopping street has.
var Industries = []Code{
	{"grocery", "食料品", "Groceries"},
	{"supermarket", "スーパー", "Supermarkets"},
	{"convenience", "コンビニ", "Convenience stores"},
	{"drugstore", "ドラッグストア", "Drugstores"},
	{"restaurant", "飲食店", "Restaurants"},
	{"cafe", "喫茶・菓子", "Cafes and sweets"},
	{"clothing", "衣料品", "Clothing"},
	{"household", "家電・住まい", "Household goods"},
	{"books", "書籍・文具", "Books and stationery"},
	{"beauty", "理美容", "Hair and beauty"},
	{"leisure", "スポーツ・娯楽", "Sports and leisure"},
	{"services", "生活サービス", "Other services"},
}

// Sexes are the answers that the census's form knows.
var Sexes = []Code{
	{"female", "女性", "Female"},
	{"male", "男性", "Male"},
	{"other", "その他", "Other"},
	{"unknown", "不明", "Unknown"},
}

// AgeBands are ten-year bands, closed above at 90 as in the examples to
// Rule 34(4) of the APPI's enforcement rules.
var AgeBands = []Code{
	{"0-9", "10歳未満", "0–9"},
	{"10-19", "10代", "10–19"},
	{"20-29", "20代", "20–29"},
	{"30-39", "30代", "30–39"},
	{"40-49", "40代", "40–49"},
	{"50-59", "50代", "50–59"},
	{"60-69", "60代", "60–69"},
	{"70-79", "70代", "70–79"},
	{"80-89", "80代", "80–89"},
	{"90+", "90歳以上", "90 and over"},
	{"unknown", "不明", "Unknown"},
}
