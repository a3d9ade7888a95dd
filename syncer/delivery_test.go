package syncer

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/pghub/pghub/internal/githubsim"
)

// inbox is a mirror whose webhooks are stored first and processed by a syncer.
type inbox struct {
	*bundle
	url string
	run *running
	o   options
	n   int
}

// sent is one webhook with the id that GitHub gives it.
type sent struct {
	guid string
	hook
}

func (b *bundle) inbox(r *running, o options) *inbox {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if _, err := StoreDelivery(r.Context(), b.pool, Delivery{
			GUID: r.Header.Get("X-GitHub-Delivery"), Event: r.Header.Get("X-GitHub-Event"), ContentType: ContentJSON, Body: body, ReceivedAt: time.Now(),
		}); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		w.WriteHeader(http.StatusAccepted)
	}))
	b.t.Cleanup(server.Close)
	return &inbox{bundle: b, url: server.URL, run: r, o: o}
}

// named gives each webhook an id.
func (in *inbox) named(list []hook) (out []sent) {
	for _, one := range list {
		in.n++
		out = append(out, sent{fmt.Sprintf("%08d-0000", in.n), one})
	}
	return out
}

func (in *inbox) deliver(list ...sent) {
	in.t.Helper()
	for _, one := range list {
		req, err := http.NewRequestWithContext(in.ctx, http.MethodPost, in.url, bytes.NewReader(one.body))
		if err != nil {
			in.t.Fatal(err)
		}
		req.Header.Set("X-GitHub-Event", one.event)
		req.Header.Set("X-GitHub-Delivery", one.guid)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			in.t.Fatal(err)
		}
		answer, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != http.StatusAccepted {
			in.t.Fatalf("%s: %s", resp.Status, answer)
		}
	}
}

// kill ends the syncer and leaves what a killed one leaves: a delivery that is
// "processing" and its job "running", in the name of nobody alive. Not every
// time is there one.
func (in *inbox) kill() (left bool) {
	in.t.Helper()
	in.run.stop()
	tag, err := in.pool.Exec(in.ctx, `
WITH d AS (UPDATE pghub.delivery SET status = 'processing', attempts = attempts + 1
            WHERE seq = (SELECT min(seq) FROM pghub.delivery WHERE status = 'unprocessed') RETURNING seq)
UPDATE pghub.river_job j SET state = 'running', attempt = attempt + 1, attempted_at = now(), attempted_by = ARRAY[$1]
  FROM d WHERE j.kind = 'delivery' AND (j.args ->> 'seq')::bigint = d.seq AND j.finalized_at IS NULL`, in.run.identity.name())
	if err != nil {
		in.t.Fatal(err)
	}
	return tag.RowsAffected() > 0
}

func (in *inbox) restart() { in.run = in.start(in.o) }

// worked waits until no delivery is left, and fails when one is errored.
func (in *inbox) worked() {
	in.t.Helper()
	in.eventually("all deliveries are processed", func() string {
		list, err := Deliveries(in.ctx, in.pool, "", 10000)
		if err != nil {
			in.t.Fatal(err)
		}
		var open []string
		for _, d := range list {
			if d.Status != "processed" && d.Status != "ignored" {
				open = append(open, fmt.Sprintf("%s %s.%s %s after %d tries: %s", d.GUID, d.Event, d.Action, d.Status, d.Attempts, d.Reason))
			}
		}
		return strings.Join(open[:min(len(open), 5)], "\n")
	})
}

func (in *inbox) get(guid string) *StoredDelivery {
	in.t.Helper()
	d, err := GetDelivery(in.ctx, in.pool, guid)
	if err != nil {
		in.t.Fatal(err)
	}
	return d
}

// until waits until a delivery has a status.
func (in *inbox) until(guid, status string) *StoredDelivery {
	in.t.Helper()
	in.eventually("delivery "+guid+" is "+status, func() string {
		if d := in.get(guid); d.Status != status {
			return fmt.Sprintf("%s after %d tries: %s", d.Status, d.Attempts, d.Reason)
		}
		return ""
	})
	return in.get(guid)
}

// followStored is follow with stored deliveries.
func followStored(t *testing.T, cfg githubsim.Config, tune func(*tuning)) (*inbox, *hooks, []string) {
	t.Helper()
	b := setup(t, cfg)
	h := b.hooks()
	repos := b.repos()
	o := options{repos: repos, every: time.Hour, tune: tune}
	in := b.inbox(b.start(o), o)
	b.ready()
	b.same(repos...)
	return in, h, repos
}

// TestDeliveryHistories plays random histories whose webhooks are lost, doubled
// and reordered, while the syncer is stopped and killed; afterwards the mirror
// must equal GitHub. With even seeds what was lost is delivered again at last and
// nothing is polled but what webhooks ask for; with odd ones it stays lost, and
// polls find it, but for what lists do not show.
func TestDeliveryHistories(t *testing.T) {
	t.Parallel()
	for seed := range *histories {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			in, hooks, repos := followStored(t, githubsim.Config{Seed: int64(seed), Repos: 2, Issues: 60}, nil)
			h := &history{Rand: rand.New(rand.NewPCG(seed, 5)), b: in.bundle, repos: repos}
			var lost []sent
			left := 0
			for round := range 6 {
				for range 15 {
					h.step()
				}
				var wire []sent
				for _, one := range in.named(hooks.take()) {
					switch h.IntN(10) {
					case 0, 1:
						lost = append(lost, one)
					case 2, 3:
						wire = append(wire, one, one)
					default:
						wire = append(wire, one)
					}
				}
				h.Shuffle(len(wire), func(i, j int) { wire[i], wire[j] = wire[j], wire[i] })
				half := len(wire) / 2
				in.deliver(wire[:half]...)
				switch round % 3 {
				case 0:
					if in.kill() {
						left++
					}
					in.deliver(wire[half:]...)
					in.restart()
				case 1:
					in.run.stop()
					in.restart()
					in.deliver(wire[half:]...)
				default:
					in.deliver(wire[half:]...)
				}
			}
			if seed%2 == 0 {
				in.deliver(lost...)
				in.worked()
				in.eventually("the mirror equals GitHub", func() string {
					return in.differentBesidesPolled(repos[0]) + in.differentBesidesPolled(repos[1])
				})
			} else {
				in.worked()
				for _, gone := range h.gone {
					if err := in.run.Refetch(in.ctx, gone.RepositoryID, gone.Number); err != nil {
						t.Fatal(err)
					}
				}
			}
			in.eventually("the mirror equals GitHub", func() string {
				in.poll()
				return in.different(repos[0]) + in.different(repos[1])
			})
			if repeats := scan[int64](in.bundle, `SELECT count(*) FROM pghub.delivery WHERE status = 'processed' AND attempts > 1`); repeats > int64(left) {
				t.Errorf("%d deliveries were tried more than once, but only %d were left by a killed process", repeats, left)
			}
		})
	}
}

// TestDeliveryOrder: what is about one object is processed in the order of its
// arrival, whatever came in between and whichever worker takes it.
func TestDeliveryOrder(t *testing.T) {
	t.Parallel()
	in, hooks, repos := followStored(t, githubsim.Config{Seed: 71, Repos: 2, Issues: 12}, nil)
	in.run.stop()
	for n := range 12 {
		for _, repo := range repos {
			title := fmt.Sprint("title ", n)
			for _, number := range []int64{1, 2} {
				if _, err := in.sim.EditIssue(repo, number, "", githubsim.IssueEdit{Title: &title}); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	list := in.named(hooks.take())
	in.deliver(list...)
	in.restart()
	in.worked()
	if lanes := scan[int64](in.bundle, `SELECT count(DISTINCT lane) FROM pghub.delivery`); lanes != 4 {
		t.Errorf("%d lanes, want one for each issue", lanes)
	}
	if n := scan[int64](in.bundle, `
SELECT count(*) FROM pghub.delivery a JOIN pghub.delivery b ON b.lane = a.lane AND b.seq > a.seq AND b.processed_at <= a.processed_at`); n > 0 {
		t.Errorf("%d pairs were processed against their order", n)
	}
	in.same(repos...)
}

// TestDeliveryTwice: a delivery of a known GUID does nothing, but for an errored one.
func TestDeliveryTwice(t *testing.T) {
	t.Parallel()
	in, hooks, repos := followStored(t, githubsim.Config{Seed: 73, Repos: 1, Issues: 8}, nil)
	in.open(repos[0], map[string]any{"title": "Once"})
	one := in.named(hooks.take())[0]
	in.deliver(one)
	before := in.until(one.guid, "processed")
	in.deliver(one)
	if after := in.get(one.guid); after.Attempts != 1 || !after.ProcessedAt.Equal(before.ProcessedAt) {
		t.Errorf("processed again: %+v", after)
	}
	star := sent{"star", hook{"star", []byte(`{"action":"created","repository":{"id":5},"installation":{"id":7}}`)}}
	in.deliver(star, star)
	if d := in.until("star", "ignored"); d.Reason == "" || d.Action != "created" || d.RepositoryID != 5 || d.InstallationID != 7 || d.Attempts != 1 {
		t.Errorf("%+v", d)
	}
	bad := sent{"bad", hook{"issues", []byte(`{"action":"opened`)}}
	in.deliver(bad)
	if d := in.until("bad", "errored"); d.Attempts != 1 || !strings.Contains(d.Reason, "unusable payload") {
		t.Errorf("%+v", d)
	}
	first := in.get("bad").ProcessedAt
	in.deliver(bad)
	in.eventually("the errored one is tried once more", func() string {
		if d := in.get("bad"); d.Status != "errored" || !d.ProcessedAt.After(first) {
			return d.Status
		}
		return ""
	})
	if scan[int64](in.bundle, `SELECT count(*) FROM pghub.delivery`) != 3 {
		t.Error("a repetition was stored")
	}
}

// TestDeliveryFails: what fails is tried again, so often, and then by hand; the
// next of its lane wait until then, those of others do not.
func TestDeliveryFails(t *testing.T) {
	t.Parallel()
	in, hooks, repos := followStored(t, githubsim.Config{Seed: 79, Repos: 2, Issues: 12}, func(tune *tuning) { tune.redeliver = time.Millisecond })
	id, _ := in.want(repos[0])
	tx, err := in.pool.Begin(in.ctx)
	if err != nil {
		t.Fatal(err)
	}
	// A repository's deletion cannot be applied while a client holds a row of it.
	if _, err := tx.Exec(in.ctx, `SELECT FROM github.issue WHERE repository_id = $1 FOR UPDATE`, id); err != nil {
		t.Fatal(err)
	}
	gone := sent{"gone", hook{"repository", fmt.Appendf(nil, `{"action":"deleted","repository":{"id":%d,"full_name":%q}}`, id, repos[0])}}
	next := sent{"next", hook{"repository", fmt.Appendf(nil, `{"action":"edited","repository":{"id":%d,"full_name":%q}}`, id, repos[0])}}
	in.open(repos[1], map[string]any{"title": "Of another repository"})
	other := in.named(hooks.take())[0]
	in.deliver(gone, next, other)
	in.until(other.guid, "processed")
	d := in.until("gone", "errored")
	if d.Attempts != deliveryAttempts || d.Reason == "" {
		t.Errorf("%+v", d)
	}
	if got := in.until("next", "processed").ProcessedAt; got.Before(d.ProcessedAt) {
		t.Errorf("the next was processed at %s, before the first was given up at %s", got, d.ProcessedAt)
	}
	if err := tx.Rollback(in.ctx); err != nil {
		t.Fatal(err)
	}
	if n, err := RetryErrored(in.ctx, in.pool); err != nil || n != 1 {
		t.Fatal(n, err)
	}
	if d := in.until("gone", "processed"); d.Attempts != 1 {
		t.Errorf("%+v", d)
	}
	if n := scan[int64](in.bundle, `SELECT count(*) FROM github.issue WHERE repository_id = $1`, id); n != 0 {
		t.Errorf("%d issues of the deleted repository", n)
	}
	if err := RetryDelivery(in.ctx, in.pool, "unknown"); !errors.Is(err, ErrNoDelivery) {
		t.Error(err)
	}
	if err := RetryDelivery(in.ctx, in.pool, "next"); err != nil {
		t.Error(err)
	}
	in.until("next", "ignored")
}

// TestDeliveryLeftBehind: a killed process leaves a delivery "processing"; one
// that kills each process is given up.
func TestDeliveryLeftBehind(t *testing.T) {
	t.Parallel()
	in, hooks, repos := followStored(t, githubsim.Config{Seed: 83, Repos: 1, Issues: 8}, nil)
	in.run.stop()
	in.open(repos[0], map[string]any{"title": "Left behind"})
	list := in.named(hooks.take())
	in.deliver(list[0])
	if !in.kill() {
		t.Fatal("nothing was left behind")
	}
	in.restart()
	if d := in.until(list[0].guid, "processed"); d.Attempts != 2 {
		t.Errorf("%+v", d)
	}
	in.differentEventually(repos[0])

	in.run.stop()
	in.deliver(sent{"poison", list[0].hook})
	in.exec(`UPDATE pghub.delivery SET attempts = $1 WHERE guid = 'poison'`, deliveryAttempts-1)
	if !in.kill() {
		t.Fatal("nothing was left behind")
	}
	// Its job is gone, too.
	in.exec(`DELETE FROM pghub.river_job WHERE kind = 'delivery'`)
	in.restart()
	if d := in.until("poison", "errored"); !strings.Contains(d.Reason, "process ended") {
		t.Errorf("%+v", d)
	}
}

// differentBesidesPolled leaves out what only polls bring: counts, and who closed
// an issue, which webhooks do not tell.
func (in *inbox) differentBesidesPolled(repo string) string {
	var kept []string
	for line := range strings.SplitSeq(in.differentBesidesCounts(repo), "\n") {
		if !strings.HasPrefix(line, "issue ") || !strings.Contains(line, ": closed_by") {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "\n")
}

func (in *inbox) differentEventually(repo string) {
	in.t.Helper()
	in.eventually("the mirror equals GitHub", func() string { return in.differentBesidesCounts(repo) })
}

// TestDeliveryStop: a syncer that is asked to stop in the middle gives the
// delivery back, and no try counts.
func TestDeliveryStop(t *testing.T) {
	t.Parallel()
	in, hooks, repos := followStored(t, githubsim.Config{Seed: 89, Repos: 1, Issues: 8}, nil)
	id, _ := in.want(repos[0])
	tx, err := in.pool.Begin(in.ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := inTurn(in.ctx, tx, id); err != nil { // the delivery has to wait
		t.Fatal(err)
	}
	in.open(repos[0], map[string]any{"title": "Interrupted"})
	list := in.named(hooks.take())
	in.deliver(list[0])
	in.until(list[0].guid, "processing")
	in.run.stop()
	if d := in.get(list[0].guid); d.Status != "unprocessed" || d.Attempts != 0 {
		t.Errorf("%+v", d)
	}
	if err := tx.Rollback(in.ctx); err != nil {
		t.Fatal(err)
	}
	in.restart()
	in.until(list[0].guid, "processed")
	in.differentEventually(repos[0])
}

// TestDeliveryRetention: processed and ignored deliveries go, others stay.
func TestDeliveryRetention(t *testing.T) {
	t.Parallel()
	in, _, _ := followStored(t, githubsim.Config{Seed: 97, Repos: 1, Issues: 4}, nil)
	in.deliver(
		sent{"old", hook{"star", []byte(`{}`)}}, sent{"young", hook{"star", []byte(`{}`)}}, sent{"bad", hook{"issues", []byte(`{`)}})
	in.until("old", "ignored")
	in.until("young", "ignored")
	in.until("bad", "errored")
	in.exec(`UPDATE pghub.delivery SET processed_at = now() - interval '14 days 1 minute' WHERE guid <> 'young'`)
	in.exec(`UPDATE pghub.delivery SET processed_at = now() - interval '13 days' WHERE guid = 'young'`)
	in.eventually("the old one is dropped", func() string {
		if _, err := GetDelivery(in.ctx, in.pool, "old"); !errors.Is(err, ErrNoDelivery) {
			return "it is there"
		}
		return ""
	})
	in.get("young")
	in.get("bad")
}

// TestDeliveryBytes: any body is kept as it is, and described as well as it can be.
func TestDeliveryBytes(t *testing.T) {
	t.Parallel()
	in, _, _ := followStored(t, githubsim.Config{Seed: 101, Repos: 1, Issues: 4}, nil)
	for i, body := range []string{
		"{\"action\":\"a\\u0000b\xff\",\"repository\":{\"id\":9},\"x\":\"\x00\"}", "", "\x00\xff", "null", "[]", `{"action":5,"repository":"x","issue":[]}`,
		`{"action":"` + strings.Repeat("é", 4000) + `"}`, "{\"action\":\"a\xffb\\u0000\",\"repository\":{\"id\":9223372036854775807}}",
	} {
		guid := fmt.Sprint("body-", i)
		in.deliver(sent{guid, hook{"star", []byte(body)}})
		d := in.get(guid)
		if string(d.Body) != body {
			t.Errorf("stored %q as %q", body, d.Body)
		}
		if len(d.Action) > 200 {
			t.Errorf("an action of %d bytes", len(d.Action))
		}
	}
	in.eventually("all are done", func() string {
		list, err := Deliveries(in.ctx, in.pool, "", 100)
		if err != nil {
			t.Fatal(err)
		}
		if slices.ContainsFunc(list, func(d StoredDelivery) bool { return d.ProcessedAt.IsZero() }) {
			return "some are not"
		}
		return ""
	})
	if _, err := StoreDelivery(in.ctx, in.pool, Delivery{GUID: "form", Event: "star", ContentType: ContentForm, Body: []byte("a=b"), ReceivedAt: time.Now()}); !errors.Is(err, ErrNoPayload) {
		t.Error(err)
	}
	form := []byte("payload=%7B%22action%22%3A%22created%22%7D")
	if _, err := StoreDelivery(in.ctx, in.pool, Delivery{GUID: "form", Event: "star", ContentType: ContentForm, Body: form, ReceivedAt: time.Now()}); err != nil {
		t.Fatal(err)
	}
	if d := in.until("form", "ignored"); d.Action != "created" || !bytes.Equal(d.Body, form) {
		t.Errorf("%+v", d)
	}
}

// FuzzDescribe: whatever a payload is, Postgres takes its description.
func FuzzDescribe(f *testing.F) {
	for _, seed := range []string{
		``, `{`, `null`, `[]`, `{"action":"a\u0000"}`, "{\"action\":\"\xff\"}", `{"repository":{"id":1},"issue":{"number":2},"comment":{"id":3}}`,
		`{"repository":{"id":1e30}}`, `{"installation":{"id":7}}`, `{"repository":{"id":1},"label":{"id":2}}`, `{"action":{"a":1},"issue":"x"}`,
	} {
		f.Add("issues", []byte(seed))
	}
	f.Fuzz(func(t *testing.T, event string, payload []byte) {
		a := describe(event, payload)
		if !utf8.ValidString(a.action) || strings.Contains(a.action, "\x00") || len(a.action) > 200 {
			t.Errorf("action %q", a.action)
		}
		if a.lane == "" || len(a.lane) > len(event)+60 {
			t.Errorf("lane %q", a.lane)
		}
		if b := describe(event, payload); b.lane != a.lane || b.action != a.action {
			t.Errorf("%+v, then %+v", a, b)
		}
	})
}

// TestRestartKeepsFollowing: when no repository is named, what was followed stays
// so over a restart, before GitHub was asked again; deliveries that come
// meanwhile would be ignored.
func TestRestartKeepsFollowing(t *testing.T) {
	t.Parallel()
	b := setup(t, githubsim.Config{Seed: 103, Repos: 2, Issues: 4})
	o := options{every: time.Hour}
	r := b.start(o)
	b.ready()
	r.stop()
	s, err := newSyncer(Config{Pool: b.pool, API: b.truth, Logger: b.log}, testTuning())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.configure(b.ctx); err != nil {
		t.Fatal(err)
	}
	if n := scan[int64](b, `SELECT count(*) FROM pghub.followed WHERE active`); n != 2 {
		t.Errorf("%d of 2 repositories are followed", n)
	}
}
