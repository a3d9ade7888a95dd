package contract

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
)

// REST is GitHub's description of its REST API. It is safe for concurrent use.
type REST struct {
	*description
	templates [][]string // paths cut at the slashes, sorted: literal before parameter

	mu    sync.Mutex
	items map[string]*pathItem

	// passed holds hashes of answers, and items of answers, that were compared.
	passed sync.Map
}

// pathItem is one path, ready to validate. raw is the same undigested.
type pathItem struct {
	template string
	doc      *openapi3.T
	item     *openapi3.PathItem
	raw      map[string]any
}

// LoadREST reads the description; ErrNotFetched when it is not there. The
// process keeps one.
var LoadREST = sync.OnceValues(func() (*REST, error) {
	content, err := RESTFile.Read()
	if err != nil {
		return nil, err
	}
	d, err := parseDescription(content)
	if err != nil {
		return nil, err
	}
	r := &REST{description: d, items: map[string]*pathItem{}}
	for template := range d.paths {
		r.templates = append(r.templates, strings.Split(template, "/"))
	}
	// A literal sorts before "{": a path that is described literally is found
	// before one with a parameter in its place.
	slices.SortFunc(r.templates, slices.Compare)
	return r, nil
})

func init() {
	// The library knows these formats by name only.
	openapi3.DefineStringFormatValidator("uri", openapi3.NewCallbackValidator(func(s string) error {
		// Templates such as https://x/labels{/name} are URIs to GitHub's description.
		u, err := url.Parse(strings.NewReplacer("{", "", "}", "").Replace(s))
		if err == nil && (u.Scheme == "" || u.Host == "") {
			err = errors.New("it has no scheme or no host")
		}
		return err
	}))
}

// find returns the path that describes an escaped request path, and its
// parameters; nil when none does.
func (r *REST) find(escaped string) (*pathItem, map[string]string, error) {
	segments := strings.Split(strings.TrimSuffix(escaped, "/"), "/")
	for _, template := range r.templates {
		params, ok := matchPath(template, segments)
		if !ok {
			continue
		}
		item, err := r.path(strings.Join(template, "/"))
		return item, params, err
	}
	return nil, nil, nil
}

func matchPath(template, segments []string) (map[string]string, bool) {
	if len(template) != len(segments) {
		return nil, false
	}
	params := map[string]string{}
	for k, t := range template {
		name, isParam := strings.CutPrefix(t, "{")
		if !isParam {
			if t != segments[k] {
				return nil, false
			}
			continue
		}
		value, err := url.PathUnescape(segments[k])
		if err != nil || value == "" {
			return nil, false
		}
		params[strings.TrimSuffix(name, "}")] = value
	}
	return params, true
}

// path prepares one path of the description, once.
func (r *REST) path(template string) (*pathItem, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p := r.items[template]; p != nil {
		return p, nil
	}
	raw := r.paths[template]
	part, err := r.subset(map[string]any{"paths": map[string]json.RawMessage{template: raw}}, raw)
	if err != nil {
		return nil, err
	}
	doc, err := openapi3.NewLoader().LoadFromData(part)
	if err != nil {
		return nil, fmt.Errorf("loading the description of %s: %w", template, err)
	}
	p := &pathItem{template: template, doc: doc, item: doc.Paths.Value(template)}
	if err := json.Unmarshal(raw, &p.raw); err != nil {
		return nil, fmt.Errorf("reading the description of %s: %w", template, err)
	}
	r.items[template] = p
	return p, nil
}

// Exchange is one request and its answer. Answer is nil when none came.
type Exchange struct {
	Method string
	URL    *url.URL // with the path as GitHub sees it: no prefix of Enterprise Server
	Header http.Header
	Body   []byte
	Answer *Answer
}

// Answer is what came back.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Check compares an exchange with the description. It returns the operation
// ("GET /repos/{owner}/{repo}/issues", "" when there is none) and all
// differences, exceptions included.
func (r *REST) Check(x Exchange) (operation string, faults []Fault, err error) {
	path, hidden := canonical(x.URL.EscapedPath())
	item, params, err := r.find(path)
	if err != nil {
		return "", nil, err
	}
	method := x.Method
	if method == http.MethodHead {
		method = http.MethodGet // answered like GET, without the body
	}
	var op *openapi3.Operation
	if item != nil {
		op = item.item.GetOperation(method)
	}
	if op == nil {
		return "", []Fault{{Kind: UnknownOperation, Operation: x.Method + " " + path, Subject: x.Method + " " + path, Detail: "GitHub describes no such operation"}}, nil
	}
	c := &checking{r: r, x: &x, item: item, op: op, name: method + " " + item.template}
	c.raw, _ = item.raw[strings.ToLower(method)].(map[string]any)
	if hidden != "" {
		c.add(UnknownOperation, hidden, "the path %s is not in the description", x.URL.EscapedPath())
		// The description's own parameters are not in the path; what stands
		// for them needs no check.
		params["owner"], params["repo"] = "by", "id"
	}
	c.request(method, params)
	if x.Answer != nil && x.Method != http.MethodHead && x.Header.Get("X-Github-Api-Version") != laterVersion {
		c.answer()
	}
	return c.name, c.faults, nil
}

// canonical turns the form in which GitHub's links and redirects name a
// repository into the described one, and says which form that was.
func canonical(path string) (described, form string) {
	rest, ok := strings.CutPrefix(path, "/repositories/")
	id, rest, _ := strings.Cut(rest, "/")
	if _, err := strconv.ParseInt(id, 10, 64); !ok || err != nil {
		return path, ""
	}
	described = "/repos/by/id"
	if rest != "" {
		described += "/" + rest
	}
	return described, "/repositories/{id}"
}

// checking is one exchange being compared.
type checking struct {
	r      *REST
	x      *Exchange
	item   *pathItem
	op     *openapi3.Operation
	raw    map[string]any // op, undigested
	name   string
	faults []Fault
}

func (c *checking) add(k Kind, subject, detail string, args ...any) {
	c.faults = append(c.faults, Fault{Kind: k, Operation: c.name, Subject: subject, Detail: fmt.Sprintf(detail, args...)})
}

// Versions of the API that GitHub has published. The description is that of the
// first; answers in the form of the later one, which lack some fields, are not
// compared.
// https://docs.github.com/en/rest/about-the-rest-api/api-versions
const (
	firstVersion = "2022-11-28"
	laterVersion = "2026-03-10"
)

// plainHeaders are fields that HTTP itself or GitHub's general pages describe,
// so that operations do not list them.
// https://docs.github.com/en/rest/using-the-rest-api/getting-started-with-the-rest-api#headers
// https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api#use-conditional-requests-if-appropriate
var plainHeaders = []string{
	"Accept", "Accept-Encoding", "Authorization", "Content-Length", "Content-Type", "If-Modified-Since", "If-None-Match",
	"User-Agent", "X-Github-Api-Version",
}

func (c *checking) request(method string, params map[string]string) {
	for name := range c.x.Header {
		if !slices.Contains(plainHeaders, name) {
			c.add(UnknownHeader, name, "no page of GitHub's asks for it")
		}
	}
	if v := c.x.Header.Get("X-Github-Api-Version"); v != firstVersion && v != laterVersion {
		c.add(BadRequest, "X-GitHub-Api-Version", "is %q, not a published version", v)
	}
	if c.x.Header.Get("User-Agent") == "" {
		c.add(BadRequest, "User-Agent", "is missing: GitHub refuses such requests")
	}
	query := c.x.URL.Query()
	for name, values := range query {
		if c.op.Parameters.GetByInAndName(openapi3.ParameterInQuery, name) == nil && c.item.item.Parameters.GetByInAndName(openapi3.ParameterInQuery, name) == nil {
			c.add(UnknownQuery, name, "%s does not take %s", c.name, name)
		}
		if len(values) > 1 {
			c.add(BadRequest, "query "+name, "is there %d times", len(values))
		}
	}
	req := &http.Request{
		Method: method, URL: c.x.URL, Header: c.x.Header.Clone(), ContentLength: int64(len(c.x.Body)),
		Body: http.NoBody,
	}
	if len(c.x.Body) > 0 {
		req.Body = readCloser{bytes.NewReader(c.x.Body)}
		if c.raw["requestBody"] == nil {
			c.add(BadRequest, "body", "%s takes none", c.name)
		}
	}
	err := openapi3filter.ValidateRequest(noContext, &openapi3filter.RequestValidationInput{
		Request: req, PathParams: params, QueryParams: query,
		Route:   &routers.Route{Spec: c.item.doc, Path: c.item.template, PathItem: c.item.item, Method: method, Operation: c.op},
		Options: &openapi3filter.Options{MultiError: true, SkipSettingDefaults: true, AuthenticationFunc: openapi3filter.NoopAuthenticationFunc},
	})
	for _, e := range flatten(err) {
		subject, detail := "", e.Error()
		if re, ok := errors.AsType[*openapi3filter.RequestError](e); ok {
			switch {
			case re.Parameter != nil:
				subject = re.Parameter.In + " " + re.Parameter.Name
			case re.RequestBody != nil:
				subject = "body"
			}
		}
		for _, se := range schemaErrors(e) {
			subject, detail = strings.TrimSpace(subject+" "+pointer(se)), se.Reason
			break
		}
		c.add(BadRequest, subject, "%s", detail)
	}
	var body any
	if json.Unmarshal(c.x.Body, &body) == nil {
		for _, at := range c.r.undescribed(c.jsonSchema(c.raw["requestBody"]), body) {
			c.add(BadRequest, "body "+at, "%s does not take it", c.name)
		}
	}
}

// jsonSchema is the schema of the JSON content of a body or response.
func (c *checking) jsonSchema(of any) any {
	content, _ := c.r.resolve(of)["content"].(map[string]any)
	media, _ := content["application/json"].(map[string]any)
	return media["schema"]
}

func (c *checking) answer() {
	a := c.x.Answer
	status := strconv.Itoa(a.Status)
	ref := c.op.Responses.Status(a.Status)
	if ref == nil {
		ref = c.op.Responses.Default()
	}
	if ref == nil || ref.Value == nil {
		c.add(UnknownStatus, status, "%s", excerpt(a.Body))
		c.plainError()
		return
	}
	for name, h := range ref.Value.Headers {
		if h.Value.Required && a.Header.Get(name) == "" {
			c.add(BadAnswer, "header "+name, "is missing")
		}
	}
	media := ref.Value.Content.Get("application/json")
	if media == nil {
		if len(a.Body) > 0 && len(ref.Value.Content) == 0 && a.Status < 300 {
			c.add(BadAnswer, status, "GitHub describes no body, there is one: %s", excerpt(a.Body))
		}
		return
	}
	if t := a.Header.Get("Content-Type"); !strings.HasPrefix(t, "application/json") {
		c.add(BadAnswer, status+" Content-Type", "is %q, not application/json", t)
		return
	}
	raw, _ := c.raw["responses"].(map[string]any)
	described := raw[status]
	if described == nil {
		described = raw["default"]
	}
	schema, plain := media.Schema.Value, c.r.resolve(c.jsonSchema(described))
	var items []json.RawMessage
	if schema.Items != nil && json.Unmarshal(a.Body, &items) == nil {
		// Lists hold mostly what was seen before: each object is compared once.
		for k, item := range items {
			c.value(schema.Items.Value, plain["items"], item, status, strconv.Itoa(k), "[]")
		}
		return
	}
	c.value(schema, plain, a.Body, status, "", "")
}

// value compares an answer, or one of its items, with the schema in both its
// forms. Paths begin with at, or index where no single item is meant.
func (c *checking) value(schema *openapi3.Schema, plain any, raw []byte, status, at, index string) {
	seen := sha256.Sum256(slices.Concat([]byte(c.name+" "+status+" "+index+" "), raw))
	if _, again := c.r.passed.Load(seen); again {
		return
	}
	before := len(c.faults)
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		c.add(BadAnswer, status, "is not JSON: %v: %s", err, excerpt(raw))
		return
	}
	if at != "" {
		at = "/" + at
	}
	err := schema.VisitJSON(value, openapi3.VisitAsResponse(), openapi3.MultiErrors())
	for _, se := range schemaErrors(err) {
		c.add(BadAnswer, status+" "+at+pointer(se), "%s", excerpt([]byte(reason(se))))
	}
	for _, field := range c.r.undescribed(plain, value) {
		c.add(UnknownField, status+" "+index+field, "GitHub's description does not name it")
	}
	if len(c.faults) == before {
		c.r.passed.Store(seen, true)
	}
}

// plainError compares a refusal that the operation does not describe with the
// form that all have.
func (c *checking) plainError() {
	a := c.x.Answer
	if a.Status < 400 || a.Status >= 500 {
		return
	}
	var form struct {
		Message string `json:"message"`
	}
	if err := json.Unmarshal(a.Body, &form); err != nil || form.Message == "" {
		c.add(BadAnswer, strconv.Itoa(a.Status), "is no object with a message: %s", excerpt(a.Body))
	}
}
