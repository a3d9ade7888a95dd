package syncer

import (
	"fmt"
	"testing"
	"time"

	"github.com/pghub/pghub/internal/githubsim"
)

// TestRefetch: what lists never show.
func TestRefetch(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(b *bundle, repo, other string, n int64) error
		gone   bool
	}{
		{"deleted", func(b *bundle, repo, _ string, n int64) error { return b.sim.DeleteIssue(repo, n) }, true},
		{"transferred", func(b *bundle, repo, other string, n int64) error {
			_, err := b.sim.TransferIssue(repo, n, other)
			return err
		}, true},
		{"hidden for good", func(b *bundle, repo, _ string, n int64) error {
			if err := b.sim.DeleteIssue(repo, n); err != nil {
				return err
			}
			b.sim.AddFault(githubsim.Fault{Path: fmt.Sprintf("**/issues/%d", n), Status: 404, Body: `{"message":"Not Found"}`})
			return nil
		}, true},
		{"hidden for a moment", func(b *bundle, _, _ string, n int64) error {
			b.sim.AddFault(githubsim.Fault{Path: fmt.Sprintf("**/issues/%d", n), Status: 404, Body: `{"message":"Not Found"}`, Count: 1})
			return nil
		}, false},
		{"hidden with its repository", func(b *bundle, _, _ string, n int64) error {
			for _, path := range []string{fmt.Sprintf("**/issues/%d", n), "/repositories/*"} {
				b.sim.AddFault(githubsim.Fault{Path: path, Status: 404, Body: `{"message":"Not Found"}`})
			}
			return nil
		}, false},
		{"nothing happened", func(*bundle, string, string, int64) error { return nil }, false},
	}
	b := setup(t, githubsim.Config{Seed: 43, Repos: 2, Issues: 40})
	repos := b.repos()
	r := b.start(options{repos: repos, every: 200 * time.Millisecond})
	b.ready()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := b.in(t)
			n := b.open(repos[0], map[string]any{"title": "Goes away", "labels": []string{"bug"}})
			for i := range 3 {
				b.call("POST", fmt.Sprintf("repos/%s/issues/%d/comments", repos[0], n), map[string]any{"body": fmt.Sprint(i)})
			}
			b.same(repos...)
			id := scan[int64](b, `SELECT i.id FROM github.issue i JOIN github.repository r ON r.id = i.repository_id WHERE r.full_name = $1 AND i.number = $2`, repos[0], n)
			home := scan[int64](b, `SELECT repository_id FROM github.issue WHERE id = $1`, id)
			if err := tt.change(b, repos[0], repos[1], n); err != nil {
				t.Fatal(err)
			}
			if err := r.Refetch(b.ctx, home, n); err != nil {
				t.Fatal(err)
			}
			b.eventually("the refetch ends", func() string {
				if left := scan[int64](b, `SELECT count(*) FROM pghub.river_job WHERE kind = 'refetch' AND state IN ('available', 'running') AND errors IS NULL`); left > 0 {
					return fmt.Sprintf("%d jobs", left)
				}
				return ""
			})
			gone := scan[int64](b, `SELECT count(*) FROM github.issue WHERE id = $1`, id) == 0
			if gone != tt.gone {
				t.Errorf("gone from the mirror: %v", gone)
			}
			if tombstone := scan[int64](b, `SELECT count(*) FROM pghub.tombstone WHERE table_name = 'issue' AND id = $1`, id); (tombstone == 1) != tt.gone {
				t.Errorf("%d tombstones", tombstone)
			}
			b.sim.RemoveFault(0)
			b.same(repos...)
		})
	}
}
