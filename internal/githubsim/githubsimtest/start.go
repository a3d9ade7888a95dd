// Package githubsimtest starts a simulated GitHub for the length of a test.
package githubsimtest

import (
	"net/http/httptest"
	"testing"

	"github.com/pghub/pghub/internal/githubsim"
)

// Running is a simulated GitHub that listens on a loopback port.
type Running struct {
	*githubsim.Server
	// URL is the base of the API, without a trailing slash.
	URL string
}

// Start makes a simulated GitHub, serves it on a port that the kernel picks, and
// closes both when the test ends.
func Start(t testing.TB, cfg githubsim.Config) *Running {
	t.Helper()
	s := githubsim.New(cfg)
	h := httptest.NewServer(s)
	t.Cleanup(func() {
		s.Close()
		h.CloseClientConnections()
		h.Close()
	})
	return &Running{Server: s, URL: h.URL}
}
