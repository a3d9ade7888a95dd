package githubsim_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/pghub/pghub/internal/contract"
	"github.com/pghub/pghub/internal/githubsim"
	"github.com/pghub/pghub/internal/githubsim/githubsimtest"
)

// reply is an answer with its body read.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// client sends requests to one simulator with one token and follows nothing.
type client struct {
	t     testing.TB
	sim   *githubsimtest.Running
	token string
	// answers compares what it brings back with GitHub's description.
	answers http.RoundTripper
}

var noRedirects = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

func newClient(t testing.TB, cfg githubsim.Config) *client {
	t.Helper()
	sim := githubsimtest.Start(t, cfg)
	c := &client{t: t, sim: sim, token: sim.Token(), answers: noRedirects.Transport}
	if test, ok := t.(*testing.T); ok {
		c.answers = contract.AnswersOnly(test, http.DefaultTransport)
	}
	return c
}

func (c *client) as(token string) *client {
	return &client{t: c.t, sim: c.sim, token: token, answers: c.answers}
}

func (c *client) try(method, path string, body any, header ...string) (*reply, error) {
	c.t.Helper()
	var in io.Reader
	switch body := body.(type) {
	case nil:
	case string:
		in = strings.NewReader(body)
	default:
		b, err := json.Marshal(body)
		if err != nil {
			c.t.Fatal(err)
		}
		in = bytes.NewReader(b)
	}
	if !strings.HasPrefix(path, "http") {
		path = c.sim.URL + path
	}
	req, err := http.NewRequestWithContext(c.t.Context(), method, path, in)
	if err != nil {
		c.t.Fatal(err)
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	for k := 0; k+1 < len(header); k += 2 {
		req.Header.Set(header[k], header[k+1])
	}
	through := *noRedirects
	if !strings.HasPrefix(req.URL.Path, "/_sim/") {
		through.Transport = c.answers
	}
	resp, err := through.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return &reply{resp.StatusCode, resp.Header, b}, err
}

// do sends a request and requires a status.
func (c *client) do(status int, method, path string, body any, header ...string) *reply {
	c.t.Helper()
	r, err := c.try(method, path, body, header...)
	if err != nil {
		c.t.Fatalf("%s %s: %v", method, path, err)
	}
	if r.status != status {
		c.t.Fatalf("%s %s: status %d, want %d: %s", method, path, r.status, status, r.body)
	}
	return r
}

// object decodes the body as an object.
func (r *reply) object(t testing.TB) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal(r.body, &v); err != nil {
		t.Fatalf("not an object: %v: %s", err, r.body)
	}
	return v
}

func (r *reply) list(t testing.TB) []map[string]any {
	t.Helper()
	var v []map[string]any
	if err := json.Unmarshal(r.body, &v); err != nil {
		t.Fatalf("not a list: %v: %s", err, r.body)
	}
	return v
}

// link returns the URL of one relation in the Link header, or "".
func (r *reply) link(rel string) string {
	for entry := range strings.SplitSeq(r.header.Get("Link"), ", ") {
		url, params, _ := strings.Cut(entry, ">; ")
		if params == `rel="`+rel+`"` {
			return strings.TrimPrefix(url, "<")
		}
	}
	return ""
}

// all follows rel=next from path to the end.
func (c *client) all(path string) []map[string]any {
	c.t.Helper()
	var rows []map[string]any
	for pages := 0; path != ""; pages++ {
		if pages > 2000 {
			c.t.Fatal("paging does not end")
		}
		r := c.do(200, "GET", path, nil)
		rows = append(rows, r.list(c.t)...)
		path = r.link("next")
	}
	return rows
}

// names collects one string member.
func column[T any](rows []map[string]any, key string) []T {
	out := []T{}
	for _, row := range rows {
		v, _ := row[key].(T)
		out = append(out, v)
	}
	return out
}
