package flight

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"meguri/analytics/duck"
)

// say is an error in both languages.
func say(code codes.Code, ja, en string) error { return status.Error(code, ja+" / "+en) }

// gate says where figures may leave, in every refusal of rows.
const (
	gateJa = "外に出せるのは秘匿処理を通した統計だけです（meguri metrics run、画面、統計API）。"
	gateEn = "only statistics that passed the gate may leave: meguri metrics run, the pages, or the statistics API"
)

var (
	errNoToken = say(codes.Unauthenticated,
		"有効なトークンがありません。Authorization: Bearer トークン を付けてください。トークンは事務局が meguri analyst grant で発行します。",
		"no valid token: send Authorization: Bearer TOKEN; the office makes one with meguri analyst grant")
	errNoStore = say(codes.Unavailable,
		"利用許可を確認できません。しばらくしてからやり直してください。",
		"grants cannot be looked up now: try again later")
	errNoLog = say(codes.Unavailable,
		"記録を書けないため、実行も回答もしません。事務局にご連絡ください。",
		"the log cannot be written, so nothing is run or answered: tell the office")
	errNoLake = say(codes.Unavailable,
		"データを開けません。更新中かもしれません。しばらくしてから接続し直してください。",
		"the lake cannot be opened, perhaps it is being renewed: connect again later")
	errEnded = say(codes.Unavailable,
		"セッションは終わりました。接続し直してください。",
		"the session has ended: connect again")
	errSessions = say(codes.ResourceExhausted,
		"同時に開けるセッションの数を超えました。使い終わった接続を閉じてください。",
		"too many sessions are open: close connections that are not in use")
	errUsedUp = say(codes.ResourceExhausted,
		"この利用許可で受け取れる行数またはバイト数の総量を使い切るため、返しません。集計して量を減らすか、事務局に新しい許可を求めてください。"+gateJa,
		"the answer is more than what is left of the grant's rows or bytes in all, so none of it is sent: aggregate it, or ask the office for a new grant; "+gateEn)
	errWrites = say(codes.PermissionDenied,
		"データの更新・取り込み・トランザクションはできません。SELECT と CREATE TEMP TABLE … AS SELECT だけを実行します。",
		"nothing can be written, loaded or put in a transaction: only SELECT and CREATE TEMP TABLE … AS SELECT run")
	errHandle = say(codes.NotFound,
		"準備した文がこのセッションにありません。もう一度準備してください。",
		"this session has no such prepared statement: prepare it again")
)

func errNotInForce(g Grant, state string) error {
	switch state {
	case "future":
		from := g.From.In(tokyo).Format("2006-01-02 15:04")
		return say(codes.PermissionDenied, "利用許可は "+from+"（日本時間）からです。", "the grant begins at "+from+" (Japan)")
	case "ended":
		until := g.Until.In(tokyo).Format("2006-01-02 15:04")
		return say(codes.PermissionDenied, "利用許可は "+until+"（日本時間）に終わりました。続けるには事務局に新しい許可を求めてください。",
			"the grant ended at "+until+" (Japan): ask the office for a new one")
	}
	return say(codes.PermissionDenied, "利用許可は取り消されました。事務局にご連絡ください。", "the grant was revoked: ask the office")
}

var tokyo = time.FixedZone("Asia/Tokyo", 9*60*60)

// tooLarge is an answer beyond a limit.
type tooLarge struct {
	limit int64
	what  [2]string // 行, rows
}

// Error implements error.
func (e *tooLarge) Error() string {
	return fmt.Sprintf("the answer has more than %d %s", e.limit, e.what[1])
}

// outcome is the word of the log for an error of a statement, and what the
// analyst is told.
func outcome(err error, timeout time.Duration) (string, error) {
	var refusal *duck.Refusal
	var large *tooLarge
	switch {
	case err == nil:
		return "ok", nil
	case errors.As(err, &refusal):
		return "refused", say(codes.PermissionDenied, "この文は実行できません（"+refusal.Ja+"）。実行できるのは許可された表への SELECT だけです。"+gateJa,
			refusal.Error()+"; only SELECT on the granted tables runs; "+gateEn)
	case errors.Is(err, ErrUsedUp):
		return "used_up", errUsedUp
	case errors.As(err, &large):
		return "too_large", say(codes.ResourceExhausted,
			fmt.Sprintf("回答が上限（%d %s）を超えるため返しません。集計するか LIMIT で絞ってください。回答は持ち出しではありません。", large.limit, large.what[0])+gateJa,
			large.Error()+", so none of it is sent: aggregate it, or narrow it by LIMIT; an answer is not an export, "+gateEn)
	case errors.Is(err, duck.ErrOutOfMemory):
		return "memory", say(codes.ResourceExhausted,
			"この文はセッションのメモリ上限を超えます。条件や列を減らしてください。",
			"the statement needs more memory than the session has: ask for fewer rows or columns")
	case errors.Is(err, context.DeadlineExceeded):
		return "timeout", say(codes.DeadlineExceeded,
			fmt.Sprintf("この文は時間の上限（%s）を超えたため止めました。条件を減らしてください。", timeout),
			fmt.Sprintf("the statement took longer than %s and was stopped: ask for less", timeout))
	case errors.Is(err, context.Canceled):
		return "cancelled", say(codes.Canceled, "この文は取り消されました。", "the statement was cancelled")
	}
	return "error", say(codes.InvalidArgument, "文を実行できません: "+err.Error(), "the statement cannot run")
}
