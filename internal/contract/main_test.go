package contract_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/pghub/pghub/internal/contract"
	"github.com/pghub/pghub/internal/embedpg/embedpgtest"
	"github.com/pghub/pghub/internal/githubsim"
	"github.com/pghub/pghub/internal/githubsim/githubsimtest"
)

func TestMain(m *testing.M) {
	code := embedpgtest.Main(m)
	if _, err := contract.LoadREST(); err == nil && flag.Lookup("test.run").Value.String() == "" && !testing.Short() {
		c := contract.Met()
		fmt.Printf("contract: %d exchanges of %d operations, %d kinds of webhook events\n", c.Exchanges, len(c.Operations), len(c.Events))
		passed := code == 0
		for _, e := range contract.Exceptions {
			if e.Kind != "" && passed && !slices.Contains(c.Exceptions, e.Name) {
				fmt.Printf("the exception %q was not needed: take it out of known.go\n", e.Name)
				code = 1
			}
		}
	}
	os.Exit(code)
}

// client asks the simulated GitHub through the recording transport.
type client struct {
	t     *testing.T
	sim   *githubsimtest.Running
	token string
	// right sends what GitHub describes, wrong what it refuses: of that only
	// the answers are compared.
	right, wrong http.RoundTripper
	version      string
	etag         string // sent as If-None-Match
}

// start makes a simulated GitHub with data and a client of its administrator.
func start(t *testing.T, cfg githubsim.Config) *client {
	t.Helper()
	contract.Need(t)
	sim := githubsimtest.Start(t, cfg)
	return &client{
		t: t, sim: sim, token: sim.Token(), version: "2022-11-28",
		right: contract.Transport(t, nil), wrong: contract.AnswersOnly(t, nil),
	}
}

// as is the same client with another token.
func (c *client) as(token string) *client {
	d := *c
	d.token = token
	return &d
}

type reply struct {
	status int
	header http.Header
	body   []byte
}

// id reads the answer's id.
func (r reply) id(t *testing.T) int64 {
	t.Helper()
	var o struct{ ID int64 }
	if err := json.Unmarshal(r.body, &o); err != nil || o.ID == 0 {
		t.Fatalf("%v: no id in %s", err, r.body)
	}
	return o.ID
}

// number reads the answer's number.
func (r reply) number(t *testing.T) int64 {
	t.Helper()
	var o struct{ Number int64 }
	if err := json.Unmarshal(r.body, &o); err != nil || o.Number == 0 {
		t.Fatalf("%v: no number in %s", err, r.body)
	}
	return o.Number
}

var nextLink = regexp.MustCompile(`<([^>]+)>; rel="next"`)

// next is the address of the next page, "" on the last one.
func (r reply) next() string {
	if m := nextLink.FindStringSubmatch(r.header.Get("Link")); m != nil {
		return m[1]
	}
	return ""
}

// do sends a request and requires the status.
func (c *client) do(status int, method, path string, body any) reply {
	c.t.Helper()
	return c.send(c.right, status, method, path, body)
}

// refused sends a request that is wrong on purpose.
func (c *client) refused(status int, method, path string, body any) reply {
	c.t.Helper()
	return c.send(c.wrong, status, method, path, body)
}

// sendAny sends a request and takes any status.
func (c *client) sendAny(method, path string, body any) reply {
	c.t.Helper()
	return c.send(c.right, 0, method, path, body)
}

// again asks for what is known under an ETag.
func (c *client) again(status int, path, etag string) reply {
	c.t.Helper()
	d := *c
	d.etag = etag
	return d.do(status, "GET", path, nil)
}

func (c *client) send(through http.RoundTripper, status int, method, path string, body any) reply {
	c.t.Helper()
	var content io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		content = strings.NewReader(b)
	default:
		raw, err := json.Marshal(b)
		if err != nil {
			c.t.Fatal(err)
		}
		content = bytes.NewReader(raw)
	}
	if !strings.HasPrefix(path, "http") {
		path = c.sim.URL + path
	}
	req, err := http.NewRequestWithContext(c.t.Context(), method, path, content)
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("User-Agent", "pghub")
	req.Header.Set("Accept", "application/vnd.github+json")
	req.Header.Set("X-Github-Api-Version", c.version)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	if c.etag != "" {
		req.Header.Set("If-None-Match", c.etag)
	}
	resp, err := through.RoundTrip(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	if status != 0 && resp.StatusCode != status {
		c.t.Fatalf("%s %s: %s, want %d: %.400s", method, path, resp.Status, status, got)
	}
	return reply{resp.StatusCode, resp.Header, got}
}

func decode(t *testing.T, raw []byte, v any) {
	t.Helper()
	if err := json.Unmarshal(raw, v); err != nil {
		t.Fatalf("%v: %.400s", err, raw)
	}
}
