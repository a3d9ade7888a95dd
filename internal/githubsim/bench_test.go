package githubsim_test

import (
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/pghub/pghub/internal/githubsim"
)

var big = sync.OnceValue(func() *githubsim.Server {
	return githubsim.New(githubsim.Config{Seed: 1, Repos: 1, Issues: 100_000, PrimaryLimit: 1 << 30, BaseURL: "http://sim.invalid"})
})

// BenchmarkPage renders pages of 100 out of 115,000 issues and pull requests, or
// of their comments, without the network.
func BenchmarkPage(b *testing.B) {
	for name, query := range map[string]string{
		"first":    "issues?state=all&sort=created&direction=asc&per_page=100",
		"updated":  "issues?state=all&sort=updated&direction=asc&per_page=100&since=2025-06-01T00:00:00Z",
		"page 99":  "issues?state=all&per_page=100&page=99",
		"comments": "issues/comments?per_page=100&page=1000",
	} {
		b.Run(name, func(b *testing.B) {
			s := big()
			b.ReportAllocs()
			for b.Loop() {
				r := httptest.NewRequest("GET", seeded+"/"+query, nil)
				r.Header.Set("Authorization", "token "+s.Token())
				r.Header.Set("User-Agent", "bench")
				w := httptest.NewRecorder()
				s.ServeHTTP(w, r)
				if w.Code != 200 {
					b.Fatal(w.Code, w.Body)
				}
				b.SetBytes(int64(w.Body.Len()))
			}
		})
	}
}

func BenchmarkGenerate(b *testing.B) {
	for b.Loop() {
		githubsim.New(githubsim.Config{Seed: 1, Repos: 3, Issues: 10_000})
	}
}
