package ghapi

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

func TestRequestHeaders(t *testing.T) {
	t.Parallel()
	s := newScript(t, status(200, `{"a":1}`, "ETag", `"abc"`, "X-GitHub-Request-Id", "0:1"), status(304, ``, "ETag", `"abc"`), status(204, ``))
	c := newClient(t, s.URL)
	resp, err := c.Do(t.Context(), Request{Path: "/repos/o/r/labels/c%23d%2Fe", Query: url.Values{"q": {"a b"}}})
	if err != nil {
		t.Fatal(err)
	}
	var got struct{ A int }
	if err := resp.Decode(&got); err != nil || got.A != 1 || resp.ETag != `"abc"` || resp.RequestID != "0:1" || resp.StartedAt.IsZero() {
		t.Errorf("answer %+v %v", resp, err)
	}
	resp, err = c.Do(t.Context(), Request{Path: "x", IfNoneMatch: resp.ETag})
	if err != nil || !resp.NotModified || resp.Status != 304 {
		t.Errorf("304 gave %+v %v", resp, err)
	}
	if _, err := c.Do(t.Context(), Request{Method: "PATCH", Path: "x", Body: json.RawMessage(`{"body":"<&>","milestone":null}`)}); err != nil {
		t.Fatal(err)
	}
	seen := s.requests()
	if seen[0].uri != "/repos/o/r/labels/c%23d%2Fe?q=a+b" {
		t.Errorf("the path lost its escapes: %s", seen[0].uri)
	}
	for name, want := range map[string]string{
		"Authorization": "Bearer secret-token", "X-Github-Api-Version": "2022-11-28", "User-Agent": "pghub", "Accept": "application/vnd.github.v3+json",
	} {
		if got := seen[0].header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if got := seen[1].header.Get("If-None-Match"); got != `"abc"` {
		t.Errorf("If-None-Match is %q", got)
	}
	if got := strings.TrimSpace(seen[2].body); got != `{"body":"<&>","milestone":null}` {
		t.Errorf("the body became %s", got)
	}
}

func TestPathsThatAreNotSent(t *testing.T) {
	t.Parallel()
	s := newScript(t)
	c := newClient(t, s.URL)
	for _, path := range []string{
		"http://example.com/repos", "https://" + strings.TrimPrefix(s.URL, "http://") + "/x", "http://user@" + strings.TrimPrefix(s.URL, "http://") + "/",
		"repos/o/r/labels/..", "repos/o/r/labels/%2e%2E", "repos/./x", "repos/%zz",
	} {
		_, err := c.Do(t.Context(), Request{Method: "DELETE", Path: path})
		if err == nil || !ClassOf(err).NotApplied() {
			t.Errorf("%s was not refused: %v", path, err)
		}
	}
	if n := len(s.requests()); n != 0 || c.Requests() != 0 {
		t.Errorf("%d requests were sent", n)
	}
	// A path that looks like a host is a path.
	if _, err := c.Get(t.Context(), "//example.com/x", nil); ClassOf(err) != ClassValidation {
		t.Error(err)
	}
	if seen := s.requests(); len(seen) != 1 || seen[0].uri != "/example.com/x" {
		t.Errorf("saw %+v", seen)
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]Config{
		"password in the URL": {BaseURL: "https://me:hunter2@github.test/"},
		"scheme":              {BaseURL: "ftp://github.test"},
		"no host":             {BaseURL: "https:///x"},
		"query":               {BaseURL: "https://github.test/?token=hunter2x"},
		"unparsable":          {BaseURL: "https://hunter2:%zz@x"},
		"token":               {Token: "hunter2\nX-Evil: 1"},
		"share":               {ReadShare: 1.5},
	} {
		if _, err := New(cfg); err == nil || strings.Contains(err.Error(), "hunter2\n") || strings.Contains(err.Error(), "hunter2@") || strings.Contains(err.Error(), "hunter2:") {
			t.Errorf("%s: %v", name, err)
		}
	}
	c, err := New(Config{BaseURL: "https://ghes.test/api/v3"})
	if err != nil || c.BaseURL() != "https://ghes.test/api/v3/" || c.graphqlURL() != "https://ghes.test/api/graphql" {
		t.Errorf("%v %v", c, err)
	}
	if c.pace.points.rate != 0 {
		t.Error("Enterprise Server's requests are spread without need")
	}
	c, err = New(Config{})
	if err != nil || c.pace.points.rate != 10 || c.graphqlURL() != "https://api.github.com/graphql" {
		t.Errorf("%v", err)
	}
}

func TestRedirects(t *testing.T) {
	t.Parallel()
	other := newScript(t)
	tests := []struct {
		name   string
		req    Request
		steps  []http.HandlerFunc
		class  Class
		method string // of the last request
		uri    string
	}{
		{"read 301", Request{Path: "repos/old/r"}, []http.HandlerFunc{status(301, "", "Location", "/repositories/1"), status(200, "{}")}, ClassNone, "GET", "/repositories/1"},
		{"read 302", Request{Path: "a"}, []http.HandlerFunc{status(302, "", "Location", "/b"), status(200, "{}")}, ClassNone, "GET", "/b"},
		{"write 307", Request{Method: "PATCH", Path: "repos/old/r/issues/1", Body: map[string]int{"a": 1}}, []http.HandlerFunc{status(307, "", "Location", "/repositories/1/issues/1"), status(200, "{}")}, ClassNone, "PATCH", "/repositories/1/issues/1"},
		{"write 308", Request{Method: "DELETE", Path: "a"}, []http.HandlerFunc{status(308, "", "Location", "/b"), status(204, "")}, ClassNone, "DELETE", "/b"},
		{"write 301", Request{Method: "PATCH", Path: "a"}, []http.HandlerFunc{status(301, "", "Location", "/b")}, ClassMoved, "PATCH", "/a"},
		{"read, asked not to", Request{Path: "a", NoRedirect: true}, []http.HandlerFunc{status(301, "", "Location", "/b")}, ClassMoved, "GET", "/a"},
		{"other host", Request{Path: "a"}, []http.HandlerFunc{status(301, "", "Location", other.URL+"/b")}, ClassMoved, "GET", "/a"},
		{"write to other host", Request{Method: "POST", Path: "a"}, []http.HandlerFunc{status(307, "", "Location", other.URL+"/b")}, ClassMoved, "POST", "/a"},
		{"nowhere", Request{Path: "a"}, []http.HandlerFunc{status(301, "")}, ClassMoved, "GET", "/a"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newScript(t, test.steps...)
			resp, err := newClient(t, s.URL).Do(t.Context(), test.req)
			if ClassOf(err) != test.class || (err == nil) != (test.class == ClassNone) {
				t.Fatalf("class %v, want %v: %v", ClassOf(err), test.class, err)
			}
			seen := s.requests()
			last := seen[len(seen)-1]
			if last.method != test.method || last.uri != test.uri || last.body != seen[0].body {
				t.Errorf("the last request was %s %s %q", last.method, last.uri, last.body)
			}
			if err == nil && resp.URL != s.URL+test.uri {
				t.Errorf("URL is %s", resp.URL)
			}
			if e, ok := errors.AsType[*Error](err); ok && test.name == "write 301" && e.Location != s.URL+"/b" {
				t.Errorf("Location is %q", e.Location)
			}
		})
	}
	if n := len(other.requests()); n != 0 {
		t.Errorf("another host got %d requests", n)
	}
}

func TestRedirectLoopEnds(t *testing.T) {
	t.Parallel()
	var steps []http.HandlerFunc
	for range 20 {
		steps = append(steps, status(302, "", "Location", "/a"))
	}
	s := newScript(t, steps...)
	if _, err := newClient(t, s.URL).Get(t.Context(), "a", nil); ClassOf(err) != ClassMoved {
		t.Errorf("class %v: %v", ClassOf(err), err)
	}
	if n := len(s.requests()); n != maxRedirects+1 {
		t.Errorf("%d requests", n)
	}
}

func TestPages(t *testing.T) {
	t.Parallel()
	var s *script
	link := func(uri string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Link", `<`+s.URL+`/repositories/1/issues?page=1,2>; rel="prev", <`+s.URL+uri+`>; rel="next", <`+s.URL+`/last>; rel="last"`)
			status(200, `[1]`)(w, r)
		}
	}
	s = newScript(t, link("/repositories/1/issues?after=Y3Vyc29y%3D&per_page=100"), link("/p?after=2"), status(200, `[3]`))
	c := newClient(t, s.URL)
	var nexts []string
	err := c.Pages(t.Context(), Request{Path: "repos/o/r/issues", Query: url.Values{"per_page": {"100"}}}, func(r *Response) error {
		nexts = append(nexts, r.Next)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	seen := s.requests()
	if len(seen) != 3 || seen[1].uri != "/repositories/1/issues?after=Y3Vyc29y%3D&per_page=100" || seen[2].uri != "/p?after=2" {
		t.Errorf("asked for %+v", seen)
	}
	if nexts[0] != s.URL+"/repositories/1/issues?after=Y3Vyc29y%3D&per_page=100" || nexts[2] != "" {
		t.Errorf("next links %v", nexts)
	}
	stop := errors.New("stop")
	s2 := newScript(t, status(200, `[]`, "Link", `</x>; rel="next"`))
	if err := newClient(t, s2.URL).Pages(t.Context(), Request{Path: "x"}, func(*Response) error { return stop }); !errors.Is(err, stop) {
		t.Error(err)
	}
	// A link that leads to another host is not followed.
	s3 := newScript(t, status(200, `[]`, "Link", `<http://example.com/x>; rel="next"`))
	c3 := newClient(t, s3.URL)
	if err := c3.Pages(t.Context(), Request{Path: "x"}, func(*Response) error { return nil }); err == nil || c3.Requests() != 1 {
		t.Errorf("%v after %d requests", err, c3.Requests())
	}
}
