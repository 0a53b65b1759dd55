package api

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"meguri/analytics"
	"meguri/analytics/disclosure"
	"meguri/analytics/recipient"
	"meguri/ledger"
	"meguri/ledger/programme"
	"meguri/ledger/registry"
)

// Faults that arise here, before any other room is asked.
var (
	errInvalidRequest  = errors.New("the request does not fit the contract")
	errCursor          = errors.New("the cursor is not one of ours")
	errNoToken         = errors.New("no valid bearer token")
	errNoSession       = errors.New("nobody is logged in")
	errForbidden       = errors.New("not allowed for this caller")
	errNoPage          = errors.New("there is nothing at this address")
	errMethod          = errors.New("the address does not answer this method")
	errTooLarge        = errors.New("the request is too large")
	errMediaType       = errors.New("the body has another media type than the contract")
	errUnknownResident = errors.New("the resident is not registered")
	errUnknownShop     = errors.New("the shop is not registered")
	errKeyMalformed    = errors.New("the idempotency key is not a UUID in lower case")
	errBehind          = errors.New("the ledger is not yet where the caller has seen it")
	errForm            = errors.New("the form was not made for this session")
	errTooManyLogins   = errors.New("too many failed logins")
	errNotReady        = errors.New("the service is not ready")
	errPanic           = errors.New("a handler panicked")
)

// text is what readers see, in the two languages of the house.
type text struct{ ja, en string }

func (t text) in(lang string) string {
	if lang == "en" {
		return t.en
	}
	return t.ja
}

// row says how a fault is shown. Its slug makes the type URI, which is the
// address of a page that says the same and what to do.
type row struct {
	slug   string
	status int
	title  text
	help   text
	retry  int // seconds for Retry-After; 0 sends none
	errs   []error
}

func (r row) uri() string { return "/problems/" + r.slug }

// routes are what a caller can do instead, by the slug of the problem.
var routes = map[string]string{"period-closed": "cash-refund"}

// problems is the only place where an error becomes an answer. The first row
// with a matching error counts. The slugs of the ledger's refusals are the
// codes that the ledger keeps.
var problems = []row{
	{"invalid-request", 400, text{"リクエストが契約に合いません", "The request does not fit the contract"},
		text{"errors に示した箇所を直して、もう一度送ってください。", "Correct the places named in errors and send it again."},
		0, []error{errInvalidRequest}},
	{"amount-zero", 400, text{"金額が0円です", "The amount is zero"},
		text{"金額は1円以上にして、新しい Idempotency-Key で送ってください。", "Amounts are at least one yen. Send it with a new Idempotency-Key."},
		0, []error{ledger.ErrAmountZero}},
	{"amount-negative", 400, text{"金額が負です", "The amount is below zero"},
		text{"金額は1円以上にしてください。戻すときは、取消の操作を使ってください。", "Amounts are at least one yen. To give something back, cancel it."},
		0, []error{ledger.ErrAmountNegative}},
	{"overflow", 400, text{"金額が範囲を超えています", "The amount is out of range"},
		text{"金額を確かめてください。", "Check the amount."},
		0, []error{ledger.ErrOverflow}},
	{"group-too-large", 400, text{"1つの取引の明細が多すぎます", "The transaction has too many parts"},
		text{"振替や併用は、1つの取引に100件までです。分けて送ってください。", "A transaction has at most 100 transfers or parts. Split it."},
		0, []error{ledger.ErrGroupTooLarge}},
	{"key-missing", 400, text{"Idempotency-Key がありません", "There is no Idempotency-Key"},
		text{"最初の送信の前に作ったUUID（小文字）を Idempotency-Key に付けてください。",
			"Send a UUID in lower case, made before the first attempt, as Idempotency-Key."},
		0, []error{ledger.ErrMissingID}},
	{"key-malformed", 400, text{"Idempotency-Key の形が正しくありません", "The Idempotency-Key is not well formed"},
		text{"UUID（小文字の16進数と - 、36文字）にしてください。", "Make it a UUID: 36 characters, hexadecimal digits in lower case and hyphens."},
		0, []error{errKeyMalformed}},
	{"key-too-long", 400, text{"Idempotency-Key が長すぎます", "The Idempotency-Key is too long"},
		text{"UUID（小文字の16進数と - 、36文字）にしてください。", "Make it a UUID: 36 characters, hexadecimal digits in lower case and hyphens."},
		0, []error{ledger.ErrIDTooLong}},
	{"invalid-cursor", 400, text{"カーソルが正しくありません", "The cursor is not one of ours"},
		text{"前の応答の next_cursor をそのまま使ってください。なければ、カーソルなしで最初から読んでください。",
			"Use the next_cursor of an earlier answer as it is, or leave it out to read from the beginning."},
		0, []error{errCursor}},
	{"bad-query", 400, text{"この指標では答えられない条件です", "The metric does not answer this query"},
		text{"期間、分類、オプションを、指標の一覧（/statistics/v1/metrics）に合わせてください。",
			"Choose a window, cuts and options that the list of metrics (/statistics/v1/metrics) offers."},
		0, []error{analytics.ErrBadQuery}},
	{"purpose-needed", 400, text{"利用目的の指定が必要です", "The request names no purpose of the contract"},
		text{"契約にある利用目的のIDを purpose で指定してください。契約の内容は /statistics/v1/contract で確かめられます。",
			"Name a purpose of your contract in purpose. /statistics/v1/contract lists them."},
		0, []error{recipient.ErrPurpose}},
	{"unauthenticated", 401, text{"認証が必要です", "A valid token is needed"},
		text{"運営事務局が発行したトークンを Authorization: Bearer で送ってください。",
			"Send the token that the operating office issued as Authorization: Bearer."},
		0, []error{errNoToken}},
	{"login-needed", 401, text{"ログインが必要です", "Log in first"},
		text{"ログイン画面（/login）からログインしてください。", "Log in at /login."},
		0, []error{errNoSession}},
	{"forbidden", 403, text{"許可されていません", "Not allowed"},
		text{"この操作には別の権限が必要です。必要なscopeはAPI文書に書かれています。運営事務局に依頼してください。",
			"This needs another permission. The API's documentation names the scope; ask the operating office for it."},
		0, []error{errForbidden}},
	{"form-expired", 403, text{"画面の有効期限が切れました", "The form has expired"},
		text{"前の画面に戻り、再読み込みしてから、もう一度送信してください。", "Go back, reload the page and send the form again."},
		0, []error{errForm}},
	{"unknown-metric", 404, text{"その指標はありません", "There is no such metric"},
		text{"指標の一覧（/statistics/v1/metrics）から選んでください。", "Choose one of the list of metrics (/statistics/v1/metrics)."},
		0, []error{analytics.ErrUnknownMetric}},
	{"not-found", 404, text{"見つかりません", "Not found"},
		text{"アドレスと識別子を確かめてください。権限のないものも、見つからないと答えます。",
			"Check the address and the identifiers. What you may not see is not found either."},
		0, []error{errNoPage, ledger.ErrNotFound, registry.ErrNotFound, recipient.ErrNotFound}},
	{"method-not-allowed", 405, text{"このメソッドは使えません", "Method not allowed"},
		text{"Allow ヘッダーにあるメソッドを使ってください。", "Use one of the methods in the Allow header."},
		0, []error{errMethod}},
	{"id-conflict", 409, text{"同じIDが別の内容で使われています", "The ID was used with other content"},
		text{"Idempotency-Key は取引ごとに新しく作ってください。送り直すときは、内容を変えないでください。",
			"Make a new Idempotency-Key for every transaction, and do not change the content when you send it again."},
		0, []error{ledger.ErrConflict}},
	{"registered-otherwise", 409, text{"別の内容で登録済みです", "Already registered with other content"},
		text{"登録済みの内容は上書きされません。今の登録内容を確かめてください。", "What is registered is not overwritten. Look at what is registered now."},
		0, []error{registry.ErrConflict, recipient.ErrConflict}},
	{"programme-exists", 409, text{"事業が別の内容で登録済みです", "The programme exists with other content"},
		text{"発行中の事業は変えられません。新しい事業IDで登録してください。", "A programme cannot change once issued. Register a new one under another ID."},
		0, []error{programme.ErrConflict}},
	{"already-cancelled", 409, text{"取消済みです", "It was cancelled before"},
		text{"取消は一度だけです。何もする必要はありません。", "A cancel happens once. There is nothing left to do."},
		0, []error{ledger.ErrAlreadyCancelled}},
	{"not-cancellable", 409, text{"取り消せない取引です", "The transaction cannot be cancelled"},
		text{"取り消せるのは、記帳済みの決済、チャージ、付与だけです。IDを確かめてください。",
			"Only a payment, a charge or a grant that stands in the ledger can be cancelled. Check its ID."},
		0, []error{ledger.ErrNotCancellable}},
	{"reversal-not-reversed", 409, text{"取消は取り消せません", "A reversal cannot be reversed"},
		text{"もう一度、決済やチャージを行ってください。", "Make the payment or the charge once more."},
		0, []error{ledger.ErrReverseReversal}},
	{"hold-not-found", 404, text{"仮押さえがありません", "There is no such hold"},
		text{"仮押さえIDを確かめてください。", "Check the hold's ID."},
		0, []error{ledger.ErrHoldNotFound}},
	{"hold-resolved", 409, text{"仮押さえは確定または取消済みです", "The hold has ended before"},
		text{"仮押さえの取引を照会し、resolved_by を見てください。", "Look the hold up: resolved_by is the transaction that ended it."},
		0, []error{ledger.ErrHoldResolved}},
	{"hold-expired", 409, text{"仮押さえの期限が切れています", "The hold's time is up"},
		text{"取り分けた分は戻りました。必要なら、もう一度仮押さえか決済を行ってください。", "What it set aside went back. Hold or pay once more if it is still wanted."},
		0, []error{ledger.ErrHoldExpired}},
	{"period-closed", 409, text{"締め済みの期間です", "The settlement period is closed"},
		text{"この期間には記帳も取消もできません。決済を取り消す場合は、店舗で現金で返金してください。",
			"Nothing is posted to this period or cancelled in it any more. To give a payment back, the shop refunds it in cash."},
		0, []error{ledger.ErrPeriodClosed}},
	{"period-not-over", 409, text{"期間が終わっていません", "The settlement period is not over"},
		text{"最終営業日になってから締めてください。", "Close it on its last business day or later."},
		0, []error{ledger.ErrPeriodNotOver}},
	{"holds-open", 409, text{"未確定の仮押さえがあります", "Something is still held for the period"},
		text{"仮押さえの確定、取消、または期限を待って、新しい Idempotency-Key で締めてください。",
			"Wait until the holds are captured, voided or over, and close it with a new Idempotency-Key."},
		0, []error{ledger.ErrHoldsOpen}},
	{"account-differs", 409, text{"同じ名前の別の勘定があります", "There is another account of that name"},
		text{"勘定IDを確かめてください。", "Check the account's ID."},
		0, []error{ledger.ErrAccountDiffers}},
	{"account-closed", 409, text{"勘定が閉じられています", "The account is closed"},
		text{"この勘定では、もう取引できません。運営事務局に問い合わせてください。", "Nothing more can be posted to this account. Ask the operating office."},
		0, []error{ledger.ErrAccountClosed}},
	{"too-large", 413, text{"リクエストが大きすぎます", "The request is too large"},
		text{"1 MiB以下に分けて送ってください。", "Split it into requests of at most 1 MiB."},
		0, []error{errTooLarge}},
	{"unsupported-media-type", 415, text{"本文の形式が違います", "Unsupported media type"},
		text{"Content-Type: application/json で送ってください。", "Send Content-Type: application/json."},
		0, []error{errMediaType}},
	{"insufficient-balance", 422, text{"残高が足りません", "The balance is not enough"},
		text{"残高を確かめ、金額を変えて、新しい Idempotency-Key で送ってください。",
			"Look at the balance, change the amount, and send it with a new Idempotency-Key."},
		0, []error{ledger.ErrInsufficientBalance}},
	{"account-not-found", 422, text{"勘定がありません", "The account does not exist"},
		text{"勘定IDを確かめてください。", "Check the account's ID."},
		0, []error{ledger.ErrAccountNotFound}},
	{"unbalanced", 422, text{"事業をまたぐ振替です", "The transfer crosses programmes"},
		text{"振替は、同じ事業の勘定の間だけで行ってください。", "Transfer only between accounts of one programme."},
		0, []error{ledger.ErrUnbalanced}},
	{"limit-exceeded", 422, text{"売り切れです", "It is sold out"},
		text{"発行総額に達しました。仮押さえの期限切れや取消で、また買えるようになることがあります。",
			"The whole issue is sold. Some of it may come back when a reservation ends or a charge is cancelled."},
		0, []error{ledger.ErrLimitExceeded}},
	{"expired", 422, text{"有効期限が切れています", "The value has expired"},
		text{"期限の切れた残高は使えず、足すこともできません。", "What has expired cannot be used, and nothing can be added to it."},
		0, []error{ledger.ErrExpired}},
	{"wrong-account", 422, text{"この種類の取引では使えない勘定です", "This kind of transaction does not touch such accounts"},
		text{"取引の種類と、出し元・入れ先の勘定の組み合わせを確かめてください。", "Check the kind of transaction against the accounts it takes from and gives to."},
		0, []error{ledger.ErrFlow}},
	{"self-transfer", 422, text{"出し元と入れ先が同じ勘定です", "Debit and credit are the same account"},
		text{"出し元と入れ先は、別の勘定にしてください。", "Transfer between two different accounts."},
		0, []error{ledger.ErrSelfTransfer}},
	{"capture-beyond-hold", 422, text{"仮押さえを超える金額です", "More than was held"},
		text{"仮押さえした金額（held_yen）以下で確定してください。", "Capture at most what the hold set aside (held_yen)."},
		0, []error{ledger.ErrCaptureBeyondHold}},
	{"invalid", 422, text{"取引の形が正しくありません", "The transaction is not well formed"},
		text{"取引の種類に必要な項目を確かめてください。締めの期間は、その最終営業日で呼びます。",
			"Check what this kind of transaction needs. A settlement period is called by its last business day."},
		0, []error{ledger.ErrInvalid}},
	{"unknown-resident", 422, text{"利用者が登録されていません", "The resident is not registered"},
		text{"先に利用者を登録してください。", "Register the resident first."},
		0, []error{errUnknownResident}},
	{"unknown-shop", 422, text{"店舗が登録されていません", "The shop is not registered"},
		text{"先に店舗を登録してください。", "Register the shop first."},
		0, []error{errUnknownShop}},
	{"unknown-programme", 422, text{"その事業はありません", "The programme does not exist"},
		text{"事業IDを確かめてください。", "Check the programme's ID."},
		0, []error{programme.ErrNotFound}},
	{"not-on-sale", 422, text{"販売していない事業です", "The programme is not for sale"},
		text{"この事業はチャージできません。", "This programme cannot be charged."},
		0, []error{programme.ErrNotOnSale}},
	{"units", 422, text{"口数が範囲外です", "The number of units is out of range"},
		text{"1人の上限口数の範囲で指定してください。", "Stay within the units that one resident may buy."},
		0, []error{programme.ErrUnits}},
	{"outside-period", 422, text{"利用期間外です", "Outside the period of use"},
		text{"事業の利用開始日と利用終了日を確かめてください。", "Look at the programme's first and last day of use."},
		0, []error{programme.ErrOutside}},
	{"invalid-programme", 422, text{"事業の内容が正しくありません", "The programme is not well formed"},
		text{"額面は販売価格以上、利用終了日は利用開始日以降にしてください。",
			"The value of a unit is at least its price, and a programme closes no earlier than it opens."},
		0, []error{programme.ErrInvalid}},
	{"too-many-attempts", 429, text{"試行回数が多すぎます", "Too many attempts"},
		text{"しばらく待ってから、もう一度ログインしてください。", "Wait a while before you log in again."},
		int(loginWindow.Seconds()), []error{errTooManyLogins}},
	{"table-not-offered", 403, text{"この表は提供していません", "This table is not offered"},
		text{"分類・期間・店舗の組み合わせが、この提供先の範囲にありません。公開用の表は、終わった月の単位で、決められた分類だけを提供します。",
			"The cuts, the window or the shop are not among those for this audience. Tables for the public are of whole months that are over, by the cuts on the list."},
		0, []error{disclosure.ErrNotOffered}},
	{"not-in-contract", 403, text{"契約にない表です", "The contract does not offer this table"},
		text{"契約の指標・分類・期間の範囲で指定してください。契約の内容は /statistics/v1/contract で確かめられます。",
			"Stay within the metrics, cuts and windows of your contract, which /statistics/v1/contract lists."},
		0, []error{recipient.ErrNotInContract}},
	{"contract-not-begun", 403, text{"契約期間の前です", "The contract has not begun"},
		text{"契約の初日になってから取得してください。", "Come back on the contract's first day."},
		0, []error{recipient.ErrNotBegun}},
	{"contract-ended", 403, text{"契約は終わっています", "The contract has ended"},
		text{"契約の終わりまでに取得したものの扱いは、契約に従ってください。更新は運営事務局に依頼してください。",
			"What you hold is to be kept or erased as the contract says. Ask the operating office for another contract."},
		0, []error{recipient.ErrEnded}},
	{"quota-used-up", 429, text{"取得の上限に達しました", "The contract's quota is used up"},
		text{"契約の上限（一日の表の数、または一月の取得の数）に達しました。Retry-After の秒数を待ってください。同じ表の再取得は、取得の数だけに数えます。",
			"The tables of the day or the downloads of the month are used up. Wait for the seconds of Retry-After. The same table again counts as a download only."},
		0, []error{recipient.ErrUsedUp}},
	{"purpose-not-in-force", 403, text{"この利用目的では提供できません", "Nothing is given out for this purpose"},
		text{"利用目的が登録・公表されていないか、終わっています。運営事務局に連絡してください。登録は meguri purpose add、公表は meguri purpose publish です。",
			"The purpose is not registered, not published or has ended. Tell the operating office: \"meguri purpose add\" and \"meguri purpose publish\" enter one."},
		0, []error{disclosure.ErrPurpose}},
	{"table-discloses", 409, text{"この表は公表済みの表と合わせると秘匿値が分かります", "Together with earlier tables this one discloses hidden values"},
		text{"この表は出せません。期間か分類を、公表済みの表と同じ区切りに変えてください。運営事務局は理由を台帳で確認できます。",
			"It cannot be released. Choose a window or cuts that agree with what is released already. The office can see the reason in the register."},
		0, []error{disclosure.ErrDiscloses}},
	{"method-changed", 409, text{"この期間は別の守り方で公表済みです", "The window was published by another method"},
		text{"同じ期間の件数を、別の守り方（秘匿・丸め・摂動）でもう一度出すと、元の値に近づけてしまいます。公表済みの表を使ってください。",
			"Counts of one window by two methods (suppression, rounding, perturbation) would come near to the original ones. Use what is published."},
		0, []error{disclosure.ErrMethodChanged}},
	{"release-key-missing", 503, text{"摂動の鍵がありません", "The key to perturb with is not there"},
		text{"何も公開されていません。運営事務局が鍵（keys/release.json）を戻すまで、この表は出せません。",
			"Nothing was released, and this table cannot be until the office brings the key (keys/release.json) back."},
		0, []error{disclosure.ErrReleaseKey}},
	{"noise-question", 400, text{"この形では雑音付きの集計はできません", "This cannot be counted with noise"},
		text{"指標・期間・分類・cost を確かめてください。店舗や地区の分類では、雑音付きの集計はありません。契約の内容は /statistics/v1/contract で確かめられます。",
			"Check the measure, the period, the cut and the cost. There are no noisy counts by shops or places. /statistics/v1/contract shows the terms."},
		0, []error{disclosure.ErrNoise}},
	{"privacy-budget-used-up", 429, text{"プライバシー予算が足りません", "The privacy budget does not hold that much"},
		text{"この期間の予算の残りでは答えられません。前と同じ問いには、いつでも同じ答えを返します。残りは /statistics/v1/contract で確かめられます。",
			"What is left of the budget does not pay for this answer. Questions that were answered before are still answered. /statistics/v1/contract shows what is left."},
		0, []error{disclosure.ErrBudget}},
	{"no-rule-set", 500, text{"開示の基準がありません", "There is no rule set for this audience"},
		text{"何も公開されていません。運営事務局に連絡してください。", "Nothing was released. Tell the operating office."},
		0, []error{disclosure.ErrNoRuleSet}},
	{"numbers-do-not-add-up", 500, text{"集計のもとの数字が合いません", "The numbers behind the table do not add up"},
		text{"何も公開されていません。運営事務局に連絡してください。データの置き場（レイク）を作り直す必要があります。", "Nothing was released. Tell the operating office: the lake has to be made anew."},
		0, []error{disclosure.ErrUneven}},
	{"release-busy", 503, text{"ほかの公表処理が続いています", "Other releases are going on"},
		text{"何も公開されていません。少し待って、もう一度取得してください。", "Nothing was released. Wait a moment and ask again."},
		1, []error{disclosure.ErrMoved}},
	{"busy", 503, text{"混み合っています", "Too busy"},
		text{"何も記帳されていません。少し待って、同じ Idempotency-Key で送り直してください。",
			"Nothing was recorded. Wait a moment and send it again with the same Idempotency-Key."},
		1, []error{ledger.ErrBusy}},
	{"checking", 503, text{"結果を確認しています", "The result is being checked"},
		text{"記帳されたかどうかを確認しています。同じ Idempotency-Key で送り直すか、取引を照会してください。二重には記帳されません。",
			"It is being checked whether the transaction stands. Send it again with the same Idempotency-Key, or look the transaction up. It is never counted twice."},
		2, []error{ledger.ErrChecking}},
	{"unavailable", 503, text{"元帳に接続できません", "The ledger does not answer"},
		text{"何も記帳されていません。少し待って、同じ Idempotency-Key で送り直してください。",
			"Nothing was recorded. Wait a moment and send it again with the same Idempotency-Key."},
		2, []error{ledger.ErrUnavailable}},
	{"storage-failed", 503, text{"元帳の記録装置に障害があります", "The ledger's storage failed"},
		text{"復旧してから、同じ Idempotency-Key で送り直すか、取引を照会してください。二重には記帳されません。",
			"When service is back, send it again with the same Idempotency-Key, or look the transaction up. It is never counted twice."},
		30, []error{ledger.ErrStorage}},
	{"clock-behind", 503, text{"元帳の時計が遅れています", "The ledger's clock is behind"},
		text{"何も記帳されていません。時計が直るまで待ち、同じ Idempotency-Key で送り直してください。",
			"Nothing was recorded. Wait until the clock is right and send it again with the same Idempotency-Key."},
		10, []error{ledger.ErrClock}},
	{"behind", 503, text{"元帳がまだ追いついていません", "The ledger is not there yet"},
		text{"Min-Ledger-Sequence まで追いついていません。少し待って、もう一度照会してください。",
			"It has not reached Min-Ledger-Sequence. Wait a moment and read again."},
		1, []error{errBehind}},
	{"not-ready", 503, text{"準備中です", "Not ready"},
		text{"少し待ってから、もう一度試してください。", "Wait a moment and try again."},
		5, []error{errNotReady}},
	{"interrupted", 503, text{"処理が中断されました", "Interrupted"},
		text{"結果が分からないときは、同じ Idempotency-Key で送り直してください。二重には記帳されません。",
			"When the outcome is unknown, send it again with the same Idempotency-Key. It is never counted twice."},
		1, []error{context.Canceled, context.DeadlineExceeded}},
	{"internal", 500, text{"内部エラー", "Internal error"},
		text{"こちらの不具合です。instance の番号を運営事務局に伝えてください。", "The fault is ours. Tell the operating office the number in instance."},
		0, nil}, // whatever no other row matches
}

// rowOf returns the row of an error; the last row takes what is unknown.
func rowOf(err error) row {
	for _, p := range problems {
		if slices.ContainsFunc(p.errs, func(target error) bool { return errors.Is(err, target) }) {
			return p
		}
	}
	return problems[len(problems)-1]
}

// at is a fault with the places that show it.
type at struct {
	fault  error
	places []place
}

// place is one spot of a request and what does not fit there: a JSON Pointer
// into the body as a URI fragment, or the name of a parameter.
type place struct {
	pointer string
	detail  text
}

func (a *at) Error() string { return a.fault.Error() }
func (a *at) Unwrap() error { return a.fault }

// kept is a refusal that the ledger keeps under a key, and gives again whenever
// the same request comes under it.
type kept struct {
	refusal error
	key     string
}

func (k *kept) Error() string { return k.refusal.Error() }
func (k *kept) Unwrap() error { return k.refusal }

// problem is the document of RFC 9457, as the contracts have it.
type problem struct {
	Type     string         `json:"type"`
	Title    string         `json:"title"`
	Status   int            `json:"status"`
	Detail   string         `json:"detail,omitempty"`
	Instance string         `json:"instance"`
	Route    string         `json:"route,omitempty"`
	Errors   []problemError `json:"errors,omitempty"`
}

type problemError struct {
	Pointer string `json:"pointer"`
	Detail  string `json:"detail"`
}

// fail answers a request with the problem that err is. It is the only writer
// of faults, for programs and for pages, and the place where an error that
// nobody foresaw is logged, once.
func (s *server) fail(w http.ResponseWriter, r *http.Request, err error) {
	p, lang := rowOf(err), langOf(r)
	if p.status == http.StatusInternalServerError {
		s.Logger.ErrorContext(r.Context(), "request failed",
			"request_id", requestOf(r).id, "operation", requestOf(r).operation, "error", err.Error())
	}
	if retry := s.retryAfter(p, err); retry > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(retry))
	}
	if requestOf(r).page && strings.Contains(r.Header.Get("Accept"), "text/html") {
		s.problemPage(w, r, p)
		return
	}
	doc := problem{Type: p.uri(), Title: p.title.in(lang), Status: p.status, Detail: p.help.in(lang),
		Instance: "urn:uuid:" + requestOf(r).id, Route: routes[p.slug]}
	var k *kept
	if errors.As(err, &k) { // the same document each time
		doc.Instance = "urn:uuid:" + k.key
	}
	var a *at
	if errors.As(err, &a) {
		for _, f := range a.places {
			doc.Errors = append(doc.Errors, problemError{f.pointer, f.detail.in(lang)})
		}
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Content-Language", lang)
	w.WriteHeader(p.status)
	_ = json.NewEncoder(w).Encode(doc) // the caller has gone if this fails
}

// retryAfter is how many seconds a caller had better wait. The ledger's queue
// and a contract's quota know better than the table.
func (s *server) retryAfter(p row, err error) int {
	if errors.Is(err, ledger.ErrBusy) && s.RetryAfter != nil {
		return int(math.Ceil(s.RetryAfter().Seconds()))
	}
	var used *recipient.UsedUp
	if errors.As(err, &used) {
		return max(1, int(math.Ceil(used.Again.Sub(s.Now()).Seconds())))
	}
	var over *overspent
	if errors.As(err, &over) && !over.again.IsZero() {
		return max(1, int(math.Ceil(over.again.Sub(s.Now()).Seconds())))
	}
	return p.retry
}
