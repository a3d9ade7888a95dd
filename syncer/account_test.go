package syncer

import (
	"testing"

	"github.com/pghub/pghub/internal/githubsim"
)

// TestOwnAccountStaysAsOthersSeeIt: GitHub shows somebody to himself in a view of
// its own ("user_view_type": "private"), everywhere else in the public one. Asking
// who we are must not turn the account's row back and forth.
func TestOwnAccountStaysAsOthersSeeIt(t *testing.T) {
	t.Parallel()
	b := setup(t, githubsim.Config{Seed: 3, Repos: 1, Issues: 5})
	repos := b.repos()
	s := b.start(options{repos: repos})
	b.ready()
	b.same(repos...)
	s.stop()
	if err := s.storeOwnAccount(b.ctx); err != nil {
		t.Fatal(err)
	}
	view := scan[string](b, `SELECT user_view_type FROM github.account WHERE login = $1`, b.sim.Login())
	if view != "public" {
		t.Errorf("the account's view is %s", view)
	}
	if n := scan[int64](b, `SELECT count(*) FROM github.account WHERE payload ->> 'user_view_type' <> 'public'`); n != 0 {
		t.Errorf("%d accounts hold another view", n)
	}
	if scan[int64](b, `SELECT followers FROM github.account WHERE login = $1`, b.sim.Login()) == 0 {
		t.Error("what only the own view tells is missing")
	}
}
