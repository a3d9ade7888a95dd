package contract

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
)

// mostReported bounds how many faults one test prints.
const mostReported = 25

// Required tells whether tests may skip when the descriptions are missing:
// never where CI=true.
func Required() bool { return os.Getenv("CI") == "true" }

// Need skips the test when the descriptions have not been fetched, and fails it
// where that is not allowed or what was fetched is not what is pinned.
func Need(t testing.TB) *REST {
	t.Helper()
	r, err := LoadREST()
	if errors.Is(err, ErrNotFetched) && !Required() {
		t.Skip("SKIPPED: ", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Transport returns a transport for ghapi.Config that sends through base and
// passes every request and every answer through GitHub's descriptions. What
// differs fails t when it ends. Call it before whatever uses it registers its
// own clean-up. A nil base is a transport of its own.
//
// Without the descriptions it returns base, except where CI=true, which fails.
func Transport(t testing.TB, base http.RoundTripper) http.RoundTripper {
	t.Helper()
	return transport(t, base, nil)
}

// AnswersOnly is Transport for requests that are wrong on purpose: it leaves
// them out and compares the answers.
func AnswersOnly(t testing.TB, base http.RoundTripper) http.RoundTripper {
	t.Helper()
	return transport(t, base, []Kind{UnknownOperation, UnknownQuery, UnknownHeader, BadRequest, BadDocument})
}

// RequestsOnly is Transport for tests whose faults answer what GitHub never
// would: it leaves the answers out and compares the requests.
func RequestsOnly(t testing.TB, base http.RoundTripper) http.RoundTripper {
	t.Helper()
	return transport(t, base, []Kind{BadAnswer, UnknownField, UnknownStatus, BadData})
}

func transport(t testing.TB, base http.RoundTripper, without []Kind) http.RoundTripper {
	t.Helper()
	if base == nil {
		own := http.DefaultTransport.(*http.Transport).Clone()
		t.Cleanup(own.CloseIdleConnections)
		base = own
	}
	rest, err := LoadREST()
	if errors.Is(err, ErrNotFetched) && !Required() {
		return base
	}
	if err != nil {
		t.Fatal(err)
	}
	r := &recorder{base: base, rest: rest}
	t.Cleanup(func() {
		Report(t, slices.DeleteFunc(r.all(), func(f Fault) bool { return slices.Contains(without, f.Kind) }))
	})
	return r
}

// Delivery passes a webhook, as it arrived, through GitHub's description and
// fails t with what differs. Without the descriptions it does nothing, except
// where CI=true, which fails. It may be called until t ends.
func Delivery(t testing.TB, header http.Header, payload []byte) {
	t.Helper()
	w, err := LoadWebhooks()
	if errors.Is(err, ErrNotFetched) && !Required() {
		return
	}
	if err != nil {
		t.Error(err)
		return
	}
	faults, err := w.Check(header.Get("X-GitHub-Event"), header, payload)
	if err != nil {
		t.Error(err)
	}
	Report(t, faults)
}

// Report fails t with the faults that no exception covers.
func Report(t testing.TB, faults []Fault) {
	t.Helper()
	var lines []string
	for _, f := range faults {
		if e := Excused(f); e == nil {
			lines = append(lines, f.String())
		}
	}
	slices.Sort(lines)
	lines = slices.Compact(lines)
	if len(lines) > mostReported {
		lines = append(lines[:mostReported], "and more")
	}
	for _, l := range lines {
		t.Error("not what GitHub describes: " + l)
	}
}

// recorder is the transport of one test.
type recorder struct {
	base http.RoundTripper
	rest *REST

	mu     sync.Mutex
	faults []Fault
}

func (r *recorder) all() []Fault {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.faults)
}

// RoundTrip sends the request and returns the answer as it came; one that is
// cut off stays cut off.
func (r *recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	var sent []byte
	if req.Body != nil {
		var err error
		sent, err = io.ReadAll(req.Body)
		_ = req.Body.Close()
		if err != nil {
			return nil, err
		}
		req = req.Clone(req.Context())
		req.Body = io.NopCloser(bytes.NewReader(sent))
	}
	x := Exchange{Method: req.Method, URL: withoutPrefix(req.URL), Header: req.Header.Clone(), Body: sent}
	resp, err := r.base.RoundTrip(req)
	if err != nil {
		r.check(x)
		return resp, err
	}
	body, cut := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	resp.Body = io.NopCloser(io.MultiReader(bytes.NewReader(body), failing{cut}))
	if cut == nil {
		x.Answer = &Answer{Status: resp.StatusCode, Header: resp.Header.Clone(), Body: body}
	}
	r.check(x)
	return resp, nil
}

func (r *recorder) check(x Exchange) {
	var faults []Fault
	var operation string
	var err error
	if x.URL.Path == "/graphql" {
		var g *GraphQL
		if g, err = LoadGraphQL(); err == nil {
			operation, faults = "POST /graphql", g.Check(x)
		}
	} else {
		operation, faults, err = r.rest.Check(x)
	}
	if err != nil {
		faults = append(faults, Fault{Kind: BadAnswer, Operation: x.Method + " " + x.URL.Path, Subject: "description", Detail: err.Error()})
	}
	count(operation, x.Answer)
	r.mu.Lock()
	r.faults = append(r.faults, faults...)
	r.mu.Unlock()
}

// failing is the end of a body.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	return 0, io.EOF
}

// withoutPrefix takes Enterprise Server's prefix off.
func withoutPrefix(u *url.URL) *url.URL {
	c := *u
	for _, prefix := range []string{"/api/v3", "/api"} {
		if strings.HasPrefix(c.Path, prefix+"/") {
			c.Path = strings.TrimPrefix(c.Path, prefix)
			c.RawPath = strings.TrimPrefix(c.RawPath, prefix)
			break
		}
	}
	return &c
}
