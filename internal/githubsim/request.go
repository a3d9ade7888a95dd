package githubsim

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// call is one request on its way through a handler. It holds the store's lock
// for as long as the handler runs.
type call struct {
	s      *Server
	st     *store
	req    *http.Request
	path   string // escaped, without an Enterprise prefix
	query  url.Values
	params map[string]string
	body   []byte
	token  *token // nil = anonymous
	user   *user  // nil = anonymous
	repo   *repository
	now    int64
	api    string // base of API URLs
	web    string // base of web URLs
	later  bool   // asked for API version 2026-03-10

	status int
	header http.Header
	out    *enc
}

func (c *call) param(name string) string { return c.params[name] }

// json starts a JSON answer and returns where to write it.
func (c *call) json(status int) *enc {
	c.status = status
	c.out = &enc{b: make([]byte, 0, 4096), api: c.api, web: c.web, later: c.later}
	return c.out
}

func (c *call) noContent() { c.status, c.out = http.StatusNoContent, nil }

func (c *call) location(parts ...string) {
	c.header.Set("Location", c.api+strings.Join(parts, ""))
}

func (c *call) lastModified(unix int64) {
	c.header.Set("Last-Modified", time.Unix(unix, 0).UTC().Format(http.TimeFormat))
}

// choice reads a query parameter that has a fixed set of values.
func (c *call) choice(name, otherwise string, values ...string) (string, error) {
	v := c.query.Get(name)
	if v == "" {
		return otherwise, nil
	}
	for _, w := range values {
		if v == w {
			return v, nil
		}
	}
	return "", errInvalid(fieldError{resource: "Search", field: name, code: "invalid", value: quoted(v)})
}

// since reads the since parameter; ok is false without one.
func (c *call) since() (unix int64, ok bool, err error) {
	v := c.query.Get("since")
	if v == "" {
		return 0, false, nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02"} {
		if t, err := time.Parse(layout, v); err == nil {
			return t.Unix(), true, nil
		}
	}
	return 0, false, errInvalid(fieldError{resource: "Search", field: "since", code: "invalid", value: quoted(v)})
}

// needPush refuses callers who may not write to the repository.
func (c *call) needPush() error {
	if c.user == nil {
		return errUnauthenticated()
	}
	if c.repo.permission(c.user).rank() < Push.rank() {
		return errForbidden()
	}
	return nil
}

func (c *call) canPush() bool { return c.repo.permission(c.user).rank() >= Push.rank() }

// object is a JSON object of a request, its members not yet decoded.
type object map[string]json.RawMessage

// noBody tells whether the request came without a body, or with the body null.
func (c *call) noBody() bool {
	b := bytes.TrimSpace(c.body)
	return len(b) == 0 || isNull(b)
}

// object decodes the request's body.
func (c *call) object() (object, error) {
	if c.noBody() {
		return nil, errSchema("For 'links/0/schema', nil is not an object.")
	}
	var v any
	if err := json.Unmarshal(c.body, &v); err != nil {
		return nil, &apiError{status: http.StatusBadRequest, message: "Problems parsing JSON"}
	}
	if _, ok := v.(map[string]any); !ok {
		return nil, &apiError{status: http.StatusBadRequest, message: "Body should be a JSON object"}
	}
	o := object{}
	if err := json.Unmarshal(c.body, &o); err != nil {
		return nil, &apiError{status: http.StatusBadRequest, message: "Problems parsing JSON"}
	}
	return o, nil
}

func (o object) has(key string) bool { _, ok := o[key]; return ok }

func isNull(raw json.RawMessage) bool { return string(bytes.TrimSpace(raw)) == "null" }

// shown is a value as GitHub's schema errors name it.
func shown(raw json.RawMessage) string {
	if isNull(raw) {
		return "nil"
	}
	return string(raw)
}

// text reads a string member; ok is false if it is absent.
func (o object) text(key string) (v string, ok bool, err error) {
	raw, ok := o[key]
	if !ok {
		return "", false, nil
	}
	if isNull(raw) || json.Unmarshal(raw, &v) != nil {
		return "", false, errSchema("For 'properties/%s', %s is not a string.", key, shown(raw))
	}
	return v, true, nil
}

// nullableText reads a member that may be a string or null.
func (o object) nullableText(key string) (v *string, ok bool, err error) {
	if raw, has := o[key]; has && isNull(raw) {
		return nil, true, nil
	}
	s, ok, err := o.text(key)
	if !ok || err != nil {
		return nil, false, err
	}
	return &s, true, nil
}

// textOrNumber reads a member that may be a string or an integer, as titles and
// milestone numbers may.
func (o object) textOrNumber(key string) (v string, ok bool, err error) {
	raw, has := o[key]
	if !has {
		return "", false, nil
	}
	if n, err := strconv.ParseInt(string(raw), 10, 64); err == nil {
		return strconv.FormatInt(n, 10), true, nil
	}
	return o.text(key)
}

// names reads an array whose elements are strings or objects with the given key.
func (o object) names(key, member string) (v []string, ok bool, err error) {
	raw, has := o[key]
	if !has {
		return nil, false, nil
	}
	v, err = namesOf(raw, key, member)
	return v, err == nil, err
}

func namesOf(raw json.RawMessage, key, member string) ([]string, error) {
	var elements []json.RawMessage
	if isNull(raw) || json.Unmarshal(raw, &elements) != nil {
		return nil, errSchema("For 'properties/%s', %s is not an array.", key, shown(raw))
	}
	v := make([]string, 0, len(elements))
	for _, el := range elements {
		var s string
		if !isNull(el) && json.Unmarshal(el, &s) == nil {
			v = append(v, s)
			continue
		}
		var m object
		if isNull(el) || json.Unmarshal(el, &m) != nil {
			return nil, errSchema("For 'properties/%s/items', %s is not a string.", key, shown(el))
		}
		s, has, err := m.text(member)
		if err != nil {
			return nil, err
		}
		if !has {
			return nil, errSchema("For 'properties/%s/items', \"%s\" wasn't supplied.", key, member)
		}
		v = append(v, s)
	}
	return v, nil
}

func quoted(s string) string { return string(appendString(nil, s)) }

// escapePath joins path segments, each escaped.
func escapePath(segments []string) string {
	var b strings.Builder
	for _, s := range segments {
		b.WriteByte('/')
		b.WriteString(url.PathEscape(s))
	}
	return b.String()
}

// maxRequestBody bounds what is read of a request, in bytes.
const maxRequestBody = 8 << 20

func readBody(r *http.Request) ([]byte, error) {
	return io.ReadAll(io.LimitReader(r.Body, maxRequestBody))
}
