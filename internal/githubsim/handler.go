package githubsim

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// answer is a finished response.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// enterprisePrefix is where GitHub Enterprise Server has its REST API.
const enterprisePrefix = "/api/v3"

// ServeHTTP answers one request: control requests and browsers at once, all
// others through the log and the fault script.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.baseFrom("http://" + r.Host)
	path := r.URL.EscapedPath()
	if strings.HasPrefix(path, controlPrefix) {
		s.control(w, r)
		return
	}
	if s.webPage(w, r) {
		return
	}
	body, err := readBody(r)
	if err != nil {
		panic(http.ErrAbortHandler) // the client is gone
	}
	api := s.BaseURL()
	switch {
	case path == "/api/graphql":
		path = "/graphql"
	case path == enterprisePrefix || strings.HasPrefix(path, enterprisePrefix+"/"):
		path, api = strings.TrimPrefix(path, enterprisePrefix), api+enterprisePrefix
	}
	c := &call{
		s: s, st: s.store, req: r, path: path, query: r.URL.Query(), params: map[string]string{}, body: body,
		now: s.now(), api: api, web: s.BaseURL(), header: http.Header{},
	}
	entry := s.log.begin(Request{
		Method: r.Method, Path: path, Query: r.URL.RawQuery, Body: body,
		Header: r.Header.Clone(), Time: s.cfg.Now(),
	})
	f, faulty := s.faults.take(r.Method, path, r.URL.RawQuery)
	a := s.withFault(c, path, f, faulty)
	id := a.header.Get("X-Github-Request-Id")
	cut := faulty && (f.Cut == CutBefore || f.Cut == CutAfter)
	if cut {
		s.log.finish(entry, 0, id, c.user)
		panic(http.ErrAbortHandler)
	}
	s.log.finish(entry, a.status, id, c.user)
	s.cfg.Logger.Debug("simulated GitHub", "method", r.Method, "path", path, "status", a.status)
	for k, v := range a.header {
		w.Header()[k] = v
	}
	if a.status != http.StatusNoContent && a.status != http.StatusNotModified {
		w.Header().Set("Content-Length", strconv.Itoa(len(a.body)))
	}
	w.WriteHeader(a.status)
	if faulty && f.Cut == CutDuring {
		_, _ = w.Write(a.body[:len(a.body)/2])
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	if r.Method != http.MethodHead {
		_, _ = w.Write(a.body) // the client may be gone; nothing to do about it
	}
}

// handle runs a request through authentication, limits and its handler.
func (s *Server) handle(c *call, path string) answer {
	id := s.requestID()
	c.header.Set("X-Github-Request-Id", id)
	c.header.Set("X-Github-Media-Type", "github.v3; format=json")
	c.header.Set("Server", "github.com")
	resource := "core"
	if path == "/graphql" {
		resource = "graphql"
	}
	err := c.authenticate()
	documentation := docsRoot
	counted := path != "/rate_limit"
	if err == nil && counted {
		err = s.limits.admit(c, resource, id)
	}
	if err == nil {
		documentation, err = c.dispatch(path)
	}
	if err != nil {
		c.fail(err, documentation)
	}
	a := answer{status: c.status, header: c.header}
	if c.out != nil {
		a.body = c.out.b
		if a.header.Get("Content-Type") == "" {
			a.header.Set("Content-Type", "application/json; charset=utf-8")
		}
	}
	if c.status == http.StatusOK && (c.req.Method == http.MethodGet || c.req.Method == http.MethodHead) {
		c.conditional(&a)
	}
	s.limits.finish(c, resource, counted && (a.status != http.StatusNotModified || c.user == nil), a.header)
	return a
}

const docsRoot = "https://docs.github.com/rest"

// authenticate finds the token's user. A token that is not known is refused; no
// token at all is allowed and sees what is public.
func (c *call) authenticate() error {
	if c.req.Header.Get("User-Agent") == "" {
		return &apiError{
			status: http.StatusForbidden, text: true,
			message: "Request forbidden by administrative rules. Please make sure your request has a User-Agent header (https://docs.github.com/en/rest/overview/resources-in-the-rest-api#user-agent-required). Check https://developer.github.com for other possible causes.",
		}
	}
	value := credential(c.req.Header.Get("Authorization"))
	if value == "" {
		return nil
	}
	c.st.mu.RLock()
	defer c.st.mu.RUnlock()
	t := c.st.tokens[value]
	if t == nil {
		return &apiError{status: http.StatusUnauthorized, message: "Bad credentials"}
	}
	c.token, c.user = t, t.user
	if t.grants == nil {
		c.header.Set("X-Oauth-Scopes", "repo")
	}
	return nil
}

// credential takes the token out of an Authorization header: "token X", "Bearer
// X", or Basic with the token as password.
func credential(header string) string {
	scheme, value, _ := strings.Cut(header, " ")
	switch strings.ToLower(scheme) {
	case "token", "bearer":
		return strings.TrimSpace(value)
	case "basic":
		b, err := base64.StdEncoding.DecodeString(strings.TrimSpace(value))
		if err != nil {
			return value
		}
		name, password, _ := strings.Cut(string(b), ":")
		if password == "" || password == "x-oauth-basic" {
			return name
		}
		return password
	}
	return header
}

// The values of X-GitHub-Api-Version that GitHub takes; none means the first.
const (
	version2022 = "2022-11-28"
	version2026 = "2026-03-10"
)

// dispatch finds the route and runs its handler under the store's lock. It
// returns the page of the documentation that errors name.
func (c *call) dispatch(path string) (documentation string, err error) {
	version := c.req.Header.Get("X-Github-Api-Version")
	switch version {
	case "":
		version = version2022
	case version2022:
	case version2026:
		c.later = true
	default:
		return docsRoot, &apiError{status: http.StatusBadRequest, message: version + " is not a supported version."}
	}
	c.header.Set("X-Github-Api-Version-Selected", version)
	segments, err := splitPath(path)
	if err != nil {
		return docsRoot, errNotFound()
	}
	writing := c.req.Method != http.MethodGet && c.req.Method != http.MethodHead
	if writing {
		c.st.mu.Lock()
		defer c.st.mu.Unlock()
	} else {
		c.st.mu.RLock()
		defer c.st.mu.RUnlock()
	}
	inRepository := len(segments) >= 3 && segments[0] == "repos" || len(segments) >= 2 && segments[0] == "repositories"
	if inRepository {
		if segments, err = c.resolveRepository(segments); err != nil {
			return docsRoot, err
		}
		c.params[restOfPath] = escapePath(segments)
	}
	rt, ok := c.s.route(c, inRepository, segments)
	if !ok {
		return docsRoot, errNotFound()
	}
	documentation = docsRoot + rt.docs
	if rt.accepts != "" {
		c.header.Set("X-Accepted-Github-Permissions", rt.accepts)
	}
	// What is public can be read with any token.
	if public := !writing && c.repo != nil && !c.repo.private; !public && !c.token.satisfies(rt.accepts) {
		return documentation, &apiError{status: http.StatusForbidden, message: "Resource not accessible by personal access token"}
	}
	if writing && c.repo != nil && c.repo.archived {
		return documentation, &apiError{status: http.StatusForbidden, message: "Repository was archived so is read-only."}
	}
	if rt.content {
		if err := c.s.limits.admitContent(c); err != nil {
			return documentation, err
		}
	}
	return documentation, rt.handle(c)
}

// splitPath cuts an escaped path into its unescaped segments.
func splitPath(path string) ([]string, error) {
	segments := strings.Split(strings.Trim(path, "/"), "/")
	for k, s := range segments {
		u, err := url.PathUnescape(s)
		if err != nil {
			return nil, err
		}
		segments[k] = u
	}
	return segments, nil
}

// fail turns an error into the answer.
func (c *call) fail(err error, documentation string) {
	var ge *graphqlError
	if errors.As(err, &ge) {
		if c.graphqlAnswer(nil, []*graphqlError{ge}) == nil {
			return
		}
	}
	var ae *apiError
	if !errors.As(err, &ae) {
		ae = &apiError{status: http.StatusInternalServerError, message: err.Error()}
	}
	for k, v := range ae.header {
		c.header.Set(k, v)
	}
	e := c.json(ae.status)
	if ae.text {
		c.header.Set("Content-Type", "text/plain; charset=utf-8")
		e.b = append(e.b, ae.message...)
		return
	}
	ae.render(e, documentation)
}

// conditional gives the answer its ETag, which depends on the token as GitHub's
// does, and turns it into a 304 when the client has it already.
func (c *call) conditional(a *answer) {
	h := sha256.New()
	if c.token != nil {
		h.Write([]byte(c.token.value))
	}
	h.Write(a.body)
	etag := `W/"` + hex.EncodeToString(h.Sum(nil)) + `"`
	a.header.Set("Etag", etag)
	visibility := "public"
	if c.user != nil {
		visibility = "private"
	}
	a.header.Set("Cache-Control", visibility+", max-age=60, s-maxage=60")
	a.header.Set("Vary", "Accept, Authorization, Cookie, X-GitHub-OTP, Accept-Encoding, Accept, X-Requested-With")
	fresh := false
	if match := c.req.Header.Get("If-None-Match"); match != "" {
		for candidate := range strings.SplitSeq(match, ",") {
			candidate = strings.TrimPrefix(strings.TrimSpace(candidate), "W/")
			fresh = fresh || candidate == strings.TrimPrefix(etag, "W/") || candidate == "*"
		}
	} else if since, err := time.Parse(http.TimeFormat, c.req.Header.Get("If-Modified-Since")); err == nil {
		modified, err := time.Parse(http.TimeFormat, a.header.Get("Last-Modified"))
		fresh = err == nil && !modified.After(since)
	}
	if fresh {
		a.status, a.body = http.StatusNotModified, nil
		a.header.Del("Content-Type")
	}
}
