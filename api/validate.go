package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/go-chi/chi/v5"

	"meguri/ledger"
)

// operation is what the contract says about one route.
type operation struct {
	id     string
	public bool     // the contract says that no token is needed
	scopes []string // all of them are needed
	keyed  bool     // it moves money, under an Idempotency-Key
	awaits bool     // it can wait for the ledger
	route  *routers.Route
	names  map[string]bool // members that bodies of the contract may have
}

// operationsOf reads a contract into the table that authorise and validate
// use, by method and path. Scopes come out of the contract here and leave the
// document: the validator would otherwise read every body once more to check
// them (kin-openapi, validateSecurityRequirement).
func operationsOf(doc *openapi3.T) (map[string]*operation, error) {
	names := map[string]bool{}
	for _, ref := range doc.Components.Schemas {
		for name := range ref.Value.Properties {
			names[name] = true
		}
	}
	ops := map[string]*operation{}
	for path, item := range doc.Paths.Map() {
		for method, o := range item.Operations() {
			op := &operation{
				id: o.OperationID, names: names,
				keyed:  o.Parameters.GetByInAndName(openapi3.ParameterInHeader, idempotencyKey) != nil,
				awaits: o.Parameters.GetByInAndName(openapi3.ParameterInHeader, minSequence) != nil,
				route:  &routers.Route{Spec: doc, Path: path, PathItem: item, Method: method, Operation: o},
			}
			switch {
			case o.Security == nil || len(*o.Security) > 1:
				return nil, fmt.Errorf("operation %s needs exactly one list of scopes, or an empty one", o.OperationID)
			case len(*o.Security) == 0:
				op.public = true
			default:
				for scope := range (*o.Security)[0] {
					op.scopes = append(op.scopes, scope)
				}
				slices.Sort(op.scopes)
			}
			o.Security = &openapi3.SecurityRequirements{}
			ops[method+" "+path] = op
		}
	}
	return ops, nil
}

const idempotencyKey = "Idempotency-Key"

var registerDecoder = sync.OnceFunc(func() {
	openapi3filter.RegisterBodyDecoder("application/json",
		func(body io.Reader, _ http.Header, _ *openapi3.SchemaRef, _ openapi3filter.EncodingFn) (any, error) {
			data, err := io.ReadAll(body)
			if err != nil {
				return nil, err
			}
			return decodeJSON(data)
		})
})

// validate checks a request against its contract. What passes is what the
// handler gets: the body is decoded once, and bound from the value checked.
func (s *server) validate(next http.Handler) http.Handler {
	options := &openapi3filter.Options{
		MultiError:                        true,
		KeepValidatedValue:                true,
		RejectWhenRequestBodyNotSpecified: true,
		SchemaValidationOptions:           []openapi3.SchemaValidationOption{openapi3.DisableSchemaErrorDetails()},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		op := requestOf(r).contract
		query, err := checkQuery(r.URL.RawQuery, op.route.Operation.Parameters)
		if err == nil {
			err = checkMediaType(r, op.route.Operation)
		}
		if err != nil {
			s.fail(w, r, err)
			return
		}
		params := map[string]string{}
		for i, name := range chi.RouteContext(r.Context()).URLParams.Keys {
			value := chi.RouteContext(r.Context()).URLParams.Values[i]
			if unescaped, err := url.PathUnescape(value); err == nil && r.URL.RawPath != "" {
				value = unescaped
			}
			params[name] = value
		}
		err = openapi3filter.ValidateRequest(r.Context(), &openapi3filter.RequestValidationInput{
			Request: r, PathParams: params, QueryParams: query, Route: op.route, Options: options,
		})
		if err != nil {
			s.fail(w, r, refusal(err, op))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// checkQuery refuses what the validator passes over: a query that cannot be
// read, parameters that the contract does not name, and one given twice.
func checkQuery(raw string, parameters openapi3.Parameters) (url.Values, error) {
	query, err := url.ParseQuery(raw)
	if err != nil {
		return nil, &at{errInvalidRequest, []place{{"query", text{"クエリ文字列を読めません", "the query string cannot be read"}}}}
	}
	var places []place
	for name, values := range query {
		switch {
		case parameters.GetByInAndName(openapi3.ParameterInQuery, name) == nil:
			places = append(places, place{"query", text{"契約にないパラメータがあります", "there is a parameter that the contract does not name"}})
		case len(values) > 1:
			places = append(places, place{name, text{"一度だけ指定してください", "give it only once"}})
		}
	}
	if places != nil {
		return nil, &at{errInvalidRequest, places}
	}
	return query, nil
}

func checkMediaType(r *http.Request, o *openapi3.Operation) error {
	if o.RequestBody == nil || r.ContentLength == 0 {
		return nil
	}
	if o.RequestBody.Value.Content[r.Header.Get("Content-Type")] != nil {
		return nil
	}
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || o.RequestBody.Value.Content[media] == nil {
		return errMediaType
	}
	return nil
}

// refusal turns the validator's error into ours: where it does not fit and
// what the contract says, and never what was sent.
func refusal(err error, op *operation) error {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return errTooLarge
	}
	f := faults{op: op, only: true}
	f.collect(err, nil)
	if f.only && f.kind != nil {
		return &at{f.kind, f.places}
	}
	return &at{errInvalidRequest, f.places}
}

// faults are what does not fit in a request. Those of money have a type of
// their own, which the request gets when it has no other fault.
type faults struct {
	op     *operation
	places []place
	kind   error // of the first fault
	only   bool  // all are of that kind
}

func (f *faults) add(spot string, detail text, kind error) {
	if !f.op.keyed {
		kind = nil
	}
	if len(f.places) == 0 {
		f.kind = kind
	}
	f.only = f.only && f.kind == kind
	f.places = append(f.places, place{spot, detail})
}

// collect walks the validator's errors. In is the parameter they are about,
// nil for the body.
func (f *faults) collect(err error, in *openapi3.Parameter) {
	spot := "#"
	if in != nil {
		spot = in.Name
	}
	switch e := err.(type) {
	case openapi3.MultiError:
		for _, one := range e {
			f.collect(one, in)
		}
	case *openapi3filter.RequestError:
		if e.Err == nil {
			f.add(spot, text{"本文は受け付けません", "no body is expected"}, nil)
			return
		}
		f.collect(e.Err, e.Parameter)
	case *openapi3.SchemaError:
		if in == nil {
			spot = pointer(e.JSONPointer(), f.op.names)
		}
		f.add(spot, explain(e), kindOf(e, spot))
	default:
		detail, kind := text{"読めない値です", "the value cannot be read"}, error(nil)
		var bad *jsonError
		switch {
		case errors.Is(err, openapi3filter.ErrInvalidRequired):
			detail = text{"必須です", "is required"}
			if spot == idempotencyKey {
				kind = ledger.ErrMissingID
			}
		case errors.Is(err, openapi3filter.ErrInvalidEmptyValue):
			detail = text{"空にできません", "must not be empty"}
		case errors.As(err, &bad):
			detail = bad.detail
		}
		f.add(spot, detail, kind)
	}
}

// kindOf is the type that a fault has of its own, or nil: the ledger would have
// refused it for the same reason.
func kindOf(e *openapi3.SchemaError, spot string) error {
	switch value := e.Value.(type) {
	case string:
		switch {
		case spot != idempotencyKey:
		case value == "":
			return ledger.ErrMissingID
		case len(value) > uuidLength:
			return ledger.ErrIDTooLong
		default:
			return errKeyMalformed
		}
	case []any:
		if e.SchemaField == "maxItems" {
			return ledger.ErrGroupTooLarge
		}
	case json.Number: // out of the range even of a float
		return amountKind(spot, strings.HasPrefix(value.String(), "-"), false)
	case float64:
		if value == math.Trunc(value) {
			return amountKind(spot, value < 0, value == 0)
		}
	}
	return nil
}

const uuidLength = 36

func amountKind(spot string, negative, zero bool) error {
	switch {
	case !strings.HasSuffix(spot, "/amount_yen"):
		return nil
	case zero:
		return ledger.ErrAmountZero
	case negative:
		return ledger.ErrAmountNegative
	}
	return ledger.ErrOverflow
}

// pointer writes a path as a URI fragment. It stops at the first step that the
// contract does not name, since that step is the caller's own text.
func pointer(path []string, names map[string]bool) string {
	var b strings.Builder
	b.WriteByte('#')
	for _, step := range path {
		if _, err := strconv.Atoi(step); err != nil && !names[step] {
			break
		}
		b.WriteString("/" + step)
	}
	return b.String()
}

// explain says what the contract asks for.
func explain(e *openapi3.SchemaError) text {
	s := e.Schema
	switch e.SchemaField {
	case "required":
		return text{"必須です", "is required"}
	case "properties", "additionalProperties":
		return text{"契約にない項目があります", "has a member that the contract does not name"}
	case "type":
		return text{fmt.Sprintf("型は %s です", strings.Join(s.Type.Slice(), ", ")), fmt.Sprintf("must be of type %s", strings.Join(s.Type.Slice(), ", "))}
	case "nullable":
		return text{"null にできません", "must not be null"}
	case "enum":
		var allowed []string
		for _, v := range s.Enum {
			allowed = append(allowed, fmt.Sprint(v))
		}
		list := strings.Join(allowed, ", ")
		return text{"次のどれかです: " + list, "must be one of " + list}
	case "pattern":
		return text{"形は正規表現 " + s.Pattern + " のとおりです", "must match the pattern " + s.Pattern}
	case "format":
		return text{"形式は " + s.Format + " です", "must be a " + s.Format}
	case "minimum", "exclusiveMin", "exclusiveMinimum":
		return text{fmt.Sprintf("%.0f以上です", *s.Min), fmt.Sprintf("must be at least %.0f", *s.Min)}
	case "maximum", "exclusiveMax", "exclusiveMaximum":
		return text{fmt.Sprintf("%.0f以下です", *s.Max), fmt.Sprintf("must be at most %.0f", *s.Max)}
	case "minLength":
		return text{fmt.Sprintf("%d文字以上です", s.MinLength), fmt.Sprintf("must have at least %d characters", s.MinLength)}
	case "maxLength":
		return text{fmt.Sprintf("%d文字以下です", *s.MaxLength), fmt.Sprintf("must have at most %d characters", *s.MaxLength)}
	case "minItems":
		return text{fmt.Sprintf("%d件以上です", s.MinItems), fmt.Sprintf("must have at least %d entries", s.MinItems)}
	case "maxItems":
		return text{fmt.Sprintf("%d件以下です", *s.MaxItems), fmt.Sprintf("must have at most %d entries", *s.MaxItems)}
	case "uniqueItems":
		return text{"同じ値が重なっています", "must not repeat a value"}
	}
	return text{"契約に合いません", "does not fit the contract"}
}

// jsonError is a body that is no JSON of ours.
type jsonError struct{ detail text }

func (e *jsonError) Error() string { return e.detail.en }

var (
	errSyntax    = &jsonError{text{"JSONとして読めません", "is not JSON"}}
	errDuplicate = &jsonError{text{"同じ項目が二度あります", "names a member twice"}}
	errTrailing  = &jsonError{text{"JSONの後に余分な文字があります", "has something after the JSON value"}}
	errNUL       = &jsonError{text{"使えない文字（NUL）があります", "has the character NUL in it"}}
	errDeep      = &jsonError{text{"入れ子が深すぎます", "is nested too deeply"}}
)

const maxDepth = 16 // the contracts nest four deep

// decodeJSON reads one JSON value. Unlike encoding/json it refuses members
// named twice, of which a second reader might believe the other, and it keeps
// numbers as they were written, so that no yen is lost in a float.
func decodeJSON(data []byte) (any, error) {
	if !json.Valid(data) {
		if json.NewDecoder(bytes.NewReader(data)).Decode(&json.RawMessage{}) == nil {
			return nil, errTrailing
		}
		return nil, errSyntax
	}
	return (&validJSON{data}).value(0)
}

// validJSON is what is left to read of JSON that was found to be valid, so that
// nothing of its grammar is checked again.
type validJSON struct{ rest []byte }

// next is the next character that is not white space, and take takes it.
func (j *validJSON) next() byte {
	for j.rest[0] == ' ' || j.rest[0] == '\t' || j.rest[0] == '\r' || j.rest[0] == '\n' {
		j.rest = j.rest[1:]
	}
	return j.rest[0]
}

func (j *validJSON) take() byte {
	c := j.next()
	j.rest = j.rest[1:]
	return c
}

func (j *validJSON) value(depth int) (any, error) {
	if depth > maxDepth {
		return nil, errDeep
	}
	switch j.next() {
	case '{':
		object := map[string]any{}
		for c := j.take(); c != '}'; c = j.take() { // a brace, and then a comma
			if j.next() == '}' {
				continue
			}
			name := j.text()
			if _, twice := object[name]; twice {
				return nil, errDuplicate
			}
			j.take() // the colon
			v, err := j.value(depth + 1)
			if err != nil {
				return nil, err
			}
			object[name] = v
		}
		return object, nil
	case '[':
		list := []any{}
		for c := j.take(); c != ']'; c = j.take() {
			if j.next() == ']' {
				continue
			}
			v, err := j.value(depth + 1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		return list, nil
	case '"':
		s := j.text()
		if strings.ContainsRune(s, 0) {
			return nil, errNUL // which PostgreSQL cannot keep
		}
		return s, nil
	case 't':
		j.rest = j.rest[len("true"):]
		return true, nil
	case 'f':
		j.rest = j.rest[len("false"):]
		return false, nil
	case 'n':
		j.rest = j.rest[len("null"):]
		return nil, nil
	}
	end := 0
	for end < len(j.rest) && strings.IndexByte("+-.0123456789Ee", j.rest[end]) >= 0 {
		end++
	}
	number := json.Number(j.rest[:end])
	j.rest = j.rest[end:]
	return number, nil
}

// text takes a string.
func (j *validJSON) text() string {
	end, plain := 1, true
	for ; j.rest[end] != '"'; end++ {
		if j.rest[end] == '\\' {
			plain = false
			end++
		}
	}
	quoted := j.rest[:end+1]
	j.rest = j.rest[end+1:]
	if plain && utf8.Valid(quoted) {
		return string(quoted[1:end])
	}
	var s string
	_ = json.Unmarshal(quoted, &s) // it is valid
	return s
}
