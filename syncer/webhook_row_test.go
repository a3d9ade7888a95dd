package syncer

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pghub/pghub/internal/githubsim"
	"github.com/pghub/pghub/schema"
)

// only returns the webhook of that kind among list.
func (h *hooks) only(list []hook, event, action string) hook {
	h.b.t.Helper()
	for _, one := range list {
		if one.event == event && strings.Contains(string(one.body), fmt.Sprintf(`"action":%q`, action)) {
			return one
		}
	}
	h.b.t.Fatalf("no webhook %s.%s among %d", event, action, len(list))
	return hook{}
}

// TestWebhookNeverReplacesNewer: the mirror has later states than the events.
func TestWebhookNeverReplacesNewer(t *testing.T) {
	t.Parallel()
	b, r, h, repos := follow(t, githubsim.Config{Seed: 67, Repos: 1, Issues: 10})
	n := b.open(repos[0], map[string]any{"title": "first"})
	list := h.take()
	h.deliver(list...)
	// One second on, GitHub's time of change tells the states apart.
	b.exec(`UPDATE github.issue SET title = 'later', updated_at = updated_at + interval '1 hour', synced_at = clock_timestamp() WHERE number = $1`, n)
	for _, out := range h.deliver(list...) {
		if out.Changed != 0 || len(out.Queued) != 0 || out.Rows[0].Effect != EffectMerged {
			t.Errorf("an older event did %+v", out)
		}
	}
	if title := scan[string](b, `SELECT title FROM github.issue WHERE number = $1`, n); title != "later" {
		t.Errorf("the title is %q", title)
	}
	// The same second and another content: nobody knows, GitHub is asked.
	b.exec(`UPDATE github.issue SET title = 'other', updated_at = updated_at - interval '1 hour' WHERE number = $1`, n)
	r.stop()
	out := h.deliver(h.only(list, "issues", "opened"))[0]
	if title := scan[string](b, `SELECT title FROM github.issue WHERE number = $1`, n); title != "other" || out.Rows[0].Effect != EffectQueued || len(out.Queued) != 1 {
		t.Errorf("the title is %q after %+v", title, out)
	}
	b.start(options{repos: repos, every: time.Hour})
	b.poll()
	b.same(repos...)
}

// TestWebhookAndClients: rows that a client of the proxy holds, or is about to
// store, are never waited for, and come later.
func TestWebhookAndClients(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		hold   string
		change func(b *bundle, repo string, n int64)
		event  string
		action string
	}{
		{"edit of a held issue", `SELECT FROM github.issue FOR UPDATE`, func(b *bundle, repo string, n int64) {
			b.edit(repo, n, map[string]any{"title": "Held"})
		}, "issues", "edited"},
		{"deletion of a held issue", `SELECT FROM github.issue FOR UPDATE`, func(b *bundle, repo string, n int64) {
			b.must(b.sim.DeleteIssue(repo, n))
		}, "issues", "deleted"},
		{"deletion of a comment of a held issue", `SELECT FROM github.issue_comment FOR UPDATE`, func(b *bundle, repo string, n int64) {
			c := b.call("POST", fmt.Sprintf("repos/%s/issues/%d/comments", repo, n), map[string]any{"body": "goes"})
			b.call("DELETE", fmt.Sprintf("repos/%s/issues/comments/%d", repo, id(c)), nil)
		}, "issue_comment", "deleted"},
		{"issue that a client is creating", `
INSERT INTO pghub.write (statement, ordinal, table_name, op, repository_id, change, role, application, kind, proxy, pid, xid)
SELECT nextval('pghub.write_statement'), 0, 'issue', 'insert', id, '{}', 'app', '', 'insert', 1, 1, pg_current_xact_id() FROM github.repository`, func(b *bundle, repo string, _ int64) {
			b.open(repo, map[string]any{"title": "Being made"})
		}, "issues", "opened"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b, _, h, repos := follow(t, githubsim.Config{Seed: 71, Repos: 1, Issues: 10})
			n := b.open(repos[0], map[string]any{"title": "Here before"})
			b.call("POST", fmt.Sprintf("repos/%s/issues/%d/comments", repos[0], n), map[string]any{"body": "stays"})
			h.deliver(h.take()...)
			b.quiet()
			tt.change(b, repos[0], n)
			list := h.take()
			one := h.only(list, tt.event, tt.action)
			if tt.event == "issue_comment" {
				h.deliver(h.only(list, "issue_comment", "created"))
			}
			tx, err := b.pool.Begin(b.ctx)
			b.must(err)
			if strings.Contains(tt.hold, "INSERT") {
				b.exec(tt.hold)
			} else if _, err := tx.Exec(b.ctx, tt.hold); err != nil {
				t.Fatal(err)
			}
			out := h.deliver(one)[0]
			if out.Rows[0].Effect != EffectQueued || len(out.Queued) == 0 {
				t.Errorf("a row that a client holds: %+v", out)
			}
			b.must(tx.Rollback(b.ctx))
			b.exec(`UPDATE pghub.write SET closed_at = clock_timestamp()`)
			b.eventually("the mirror equals GitHub", func() string { return b.differentBesidesCounts(repos[0]) })
		})
	}
}

// TestWebhookOfRepository: what happens to a repository as a whole.
func TestWebhookOfRepository(t *testing.T) {
	t.Parallel()
	archived := true
	for name, tt := range map[string]struct {
		change  func(b *bundle, repo string) (now string)
		effects []Effect
	}{
		"archived": {func(b *bundle, repo string) string {
			b.must(b.sim.SetRepository(repo, githubsim.RepositorySettings{Archived: &archived}))
			return repo
		}, []Effect{EffectMerged, EffectQueued}},
		"renamed": {func(b *bundle, repo string) string {
			owner, _, _ := strings.Cut(repo, "/")
			b.must(b.sim.RenameRepository(repo, owner+"/renamed"))
			return owner + "/renamed"
		}, []Effect{EffectMerged, EffectQueued}},
		"transferred and renamed": {func(b *bundle, repo string) string {
			b.must(b.sim.RenameRepository(repo, b.sim.Login()+"/away"))
			return b.sim.Login() + "/away"
		}, []Effect{EffectMerged, EffectQueued}},
		"deleted": {func(b *bundle, repo string) string {
			b.must(b.sim.DeleteRepository(repo))
			return ""
		}, []Effect{EffectDeleted}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, _, h, repos := follow(t, githubsim.Config{Seed: 73, Repos: 2, Issues: 20})
			home := scan[int64](b, `SELECT id FROM github.repository WHERE full_name = $1`, repos[0])
			now := tt.change(b, repos[0])
			for i, out := range h.deliver(h.take()...) {
				ok := false
				for _, effect := range tt.effects {
					ok = ok || out.Applied() && out.Rows[0].Effect == effect
				}
				if !ok {
					t.Errorf("webhook %d: %+v", i, out)
				}
			}
			if now != "" {
				b.same(now, repos[1])
				return
			}
			b.same(repos[1])
			if n := scan[int64](b, `SELECT (SELECT count(*) FROM github.repository WHERE id = $1) + (SELECT count(*) FROM github.issue WHERE repository_id = $1) + (SELECT count(*) FROM pghub.followed WHERE active AND repository_id = $1)`, home); n != 0 {
				t.Errorf("%d rows of the deleted repository are left", n)
			}
			if state := scan[string](b, `SELECT DISTINCT state FROM pghub.sync_state WHERE repository_id = $1`, home); state != string(StateAccessLost) {
				t.Errorf("the deleted repository's state is %s", state)
			}
		})
	}
}

// TestWebhookOfHeldRepository: a repository is removed as a whole or not at all.
func TestWebhookOfHeldRepository(t *testing.T) {
	t.Parallel()
	b, _, h, repos := follow(t, githubsim.Config{Seed: 79, Repos: 1, Issues: 10})
	b.must(b.sim.DeleteRepository(repos[0]))
	one := h.only(h.take(), "repository", "deleted")
	tx, err := b.pool.Begin(b.ctx)
	b.must(err)
	if _, err := tx.Exec(b.ctx, `SELECT FROM github.issue LIMIT 1 FOR UPDATE`); err != nil {
		t.Fatal(err)
	}
	if _, err := ApplyWebhook(b.ctx, b.pool, one.event, one.body, time.Now()); !errors.Is(err, schema.ErrLocked) {
		t.Errorf("a client holds a row: %v", err)
	}
	if n := scan[int64](b, `SELECT count(*) FROM github.issue`); n == 0 {
		t.Error("the issues are gone")
	}
	b.must(tx.Rollback(b.ctx))
	if out := h.deliver(one)[0]; out.Rows[0].Effect != EffectDeleted {
		t.Errorf("%+v", out)
	}
}

// TestWebhookIgnored: every event that changes nothing says why.
func TestWebhookIgnored(t *testing.T) {
	t.Parallel()
	b, _, _, repos := follow(t, githubsim.Config{Seed: 83, Repos: 1, Issues: 10})
	home := scan[int64](b, `SELECT id FROM github.repository`)
	at := fmt.Sprintf(`"repository":{"id":%d,"full_name":%q}`, home, repos[0])
	for _, tt := range []struct {
		event, payload, reason string
	}{
		{"ping", `{"zen":"Keep it logically awesome."}`, "GitHub tries"},
		{"push", `{"ref":"refs/heads/main"}`, `kind "push"`},
		{"push", `{"action":7,"repository":[],"repositories":"all","installation":null}`, `kind "push"`},
		{"star", `[]`, `kind "star"`},
		{"issues", `{"action":"opened","issue":{"id":1},"repository":{"id":7,"full_name":"a/b"}}`, "a/b (id 7) is not mirrored"},
		{"issues", `{"action":"opened","issue":{"id":1}}`, "names no repository"},
		{"issues", `{"action":"milestoned","issue":{"id":1,"number":1,"pull_request":{}},` + at + `}`, "pull request"},
		{"issues", `{"action":"transferred","issue":{"id":1,"number":1},"repository":{"id":7}}`, "neither repository"},
		{"repository", `{"action":"created","repository":{"id":7,"full_name":"a/b"}}`, "not mirrored"},
		{"installation", `{"action":"new_permissions_accepted"}`, "no repository"},
		{"installation_repositories", `{"action":"removed","repositories_removed":[{"id":7}]}`, "none of its repositories"},
		{"installation_repositories", `{"action":"added"}`, "named by the settings"},
	} {
		out, err := ApplyWebhook(b.ctx, b.pool, tt.event, []byte(tt.payload), time.Now())
		if err != nil || out.Applied() || !strings.Contains(out.Ignored, tt.reason) || len(out.Rows)+len(out.Queued) > 0 {
			t.Errorf("%s %s: %v %v", tt.event, tt.payload, out, err)
		}
	}
	if _, err := ApplyWebhook(b.ctx, b.pool, "push", []byte(`{"ref":`), time.Now()); !errors.Is(err, ErrPayload) {
		t.Errorf("half a payload: %v", err)
	}
	for _, payload := range []string{``, `[]`, `{"action":7}`, `{"action":"opened",` + at + `}`, `{"action":"deleted","issue":null,` + at + `}`} {
		if out, err := ApplyWebhook(b.ctx, b.pool, "issues", []byte(payload), time.Now()); !errors.Is(err, ErrPayload) {
			t.Errorf("%q: %v %v", payload, out, err)
		}
	}
}

// TestWebhookOfLostAccess marks, keeps the rows, and heeds what came after it.
func TestWebhookOfLostAccess(t *testing.T) {
	t.Parallel()
	b, r, _, repos := follow(t, githubsim.Config{Seed: 89, Repos: 1, Issues: 10})
	r.stop()
	home := scan[int64](b, `SELECT id FROM github.repository`)
	rows := scan[int64](b, `SELECT count(*) FROM github.issue`)
	payload := fmt.Appendf(nil, `{"action":"removed","repositories_removed":[{"id":%d}]}`, home)
	out, err := ApplyWebhook(b.ctx, b.pool, "installation_repositories", payload, time.Now().Add(-time.Hour))
	if err != nil || out.Applied() {
		t.Errorf("GitHub showed the repository after the event: %v %v", out, err)
	}
	out, err = ApplyWebhook(b.ctx, b.pool, "installation_repositories", payload, time.Now())
	if err != nil || len(out.Rows) != 1 || out.Rows[0].Effect != EffectMarked {
		t.Errorf("%v %v", out, err)
	}
	if state := scan[string](b, `SELECT DISTINCT state FROM pghub.sync_state WHERE repository_id = $1`, home); state != string(StateAccessLost) {
		t.Errorf("the state is %s", state)
	}
	if n := scan[int64](b, `SELECT count(*) FROM github.issue`); n != rows {
		t.Errorf("%d of %d issues are left", n, rows)
	}
	// The repository is there after all: the next poll says so.
	b.start(options{repos: repos})
	b.eventually("it is live again", func() string {
		return scan[string](b, `SELECT coalesce(string_agg(collection, ' '), '') FROM pghub.sync_state WHERE repository_id = $1 AND state <> 'live'`, home)
	})
}
