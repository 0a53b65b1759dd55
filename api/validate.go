package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/go-chi/chi/v5"
)

// operation is what the contract says about one route.
type operation struct {
	id     string
	public bool     // the contract says that no token is needed
	scopes []string // all of them are needed
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
			op := &operation{id: o.OperationID, names: names,
				route: &routers.Route{Spec: doc, Path: path, PathItem: item, Method: method, Operation: o}}
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
		op := s.operations[routeOf(r)]
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
			s.fail(w, r, refusal(err, op.names))
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
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || o.RequestBody.Value.Content[media] == nil {
		return errMediaType
	}
	return nil
}

// refusal turns the validator's error into ours: where it does not fit and
// what the contract says, and never what was sent.
func refusal(err error, names map[string]bool) error {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return errTooLarge
	}
	a := &at{fault: errInvalidRequest}
	collect(err, nil, names, &a.places)
	return a
}

// collect walks the validator's errors. In is the parameter they are about,
// nil for the body.
func collect(err error, in *openapi3.Parameter, names map[string]bool, places *[]place) {
	spot := "#"
	if in != nil {
		spot = in.Name
	}
	switch e := err.(type) {
	case openapi3.MultiError:
		for _, one := range e {
			collect(one, in, names, places)
		}
	case *openapi3filter.RequestError:
		if e.Err == nil {
			*places = append(*places, place{spot, text{"本文は受け付けません", "no body is expected"}})
			return
		}
		collect(e.Err, e.Parameter, names, places)
	case *openapi3.SchemaError:
		if in == nil {
			spot = pointer(e.JSONPointer(), names)
		}
		*places = append(*places, place{spot, explain(e)})
	default:
		detail := text{"読めない値です", "the value cannot be read"}
		var bad *jsonError
		switch {
		case errors.Is(err, openapi3filter.ErrInvalidRequired):
			detail = text{"必須です", "is required"}
		case errors.Is(err, openapi3filter.ErrInvalidEmptyValue):
			detail = text{"空にできません", "must not be empty"}
		case errors.As(err, &bad):
			detail = bad.detail
		}
		*places = append(*places, place{spot, detail})
	}
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
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	v, err := decodeValue(dec, 0)
	if err != nil {
		return nil, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errTrailing
	}
	return v, nil
}

func decodeValue(dec *json.Decoder, depth int) (any, error) {
	token, err := dec.Token()
	if err != nil {
		return nil, errSyntax
	}
	if depth > maxDepth {
		return nil, errDeep
	}
	switch token {
	case json.Delim('{'):
		object := map[string]any{}
		for dec.More() {
			key, err := dec.Token()
			if err != nil {
				return nil, errSyntax
			}
			name := key.(string) // Token checks that members have names
			if _, twice := object[name]; twice {
				return nil, errDuplicate
			}
			if object[name], err = decodeValue(dec, depth+1); err != nil {
				return nil, err
			}
		}
		return object, end(dec)
	case json.Delim('['):
		list := []any{}
		for dec.More() {
			v, err := decodeValue(dec, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		return list, end(dec)
	}
	if s, ok := token.(string); ok && strings.ContainsRune(s, 0) {
		return nil, errNUL // which PostgreSQL cannot keep
	}
	return token, nil
}

func end(dec *json.Decoder) error {
	if _, err := dec.Token(); err != nil {
		return errSyntax
	}
	return nil
}
