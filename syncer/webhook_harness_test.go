package syncer

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pghub/pghub/internal/githubsim"
)

// hook is one webhook as the simulated GitHub sent it.
type hook struct {
	event string
	body  []byte
}

// hooks keeps what the simulator sends until the test hands it on, over HTTP
// too, to a server that applies it: the test decides on order and repetition.
type hooks struct {
	b     *bundle
	inbox string
	mu    sync.Mutex
	kept  []hook
	done  []Outcome
}

const hookSecret = "It's a Secret to Everybody"

func (b *bundle) hooks() *hooks {
	b.t.Helper()
	h := &hooks{b: b}
	keep := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the test is over and the simulator hung up
		}
		if got := r.Header.Get("X-Hub-Signature-256"); got != githubsim.Signature(hookSecret, body) {
			b.t.Errorf("signature %q", got)
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		h.kept = append(h.kept, hook{r.Header.Get("X-GitHub-Event"), body})
		w.WriteHeader(http.StatusAccepted)
	}))
	b.t.Cleanup(keep.Close)
	inbox := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		out, err := ApplyWebhook(r.Context(), b.pool, r.Header.Get("X-GitHub-Event"), body, time.Now())
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		h.done = append(h.done, out)
		_, _ = io.WriteString(w, out.String()) // the test's client has gone then
	}))
	b.t.Cleanup(inbox.Close)
	h.inbox = inbox.URL
	b.sim.SetWebhook(keep.URL, hookSecret)
	return h
}

// take returns what was sent since the last call, when all of it has come.
func (h *hooks) take() []hook {
	h.b.t.Helper()
	h.b.eventually("the webhooks come", func() string {
		for _, d := range h.b.sim.Deliveries() {
			if d.Error != "" {
				h.b.t.Fatal(d.Error)
			}
			if d.Status == 0 {
				return d.Event + " is under way"
			}
		}
		return ""
	})
	h.mu.Lock()
	defer h.mu.Unlock()
	list := h.kept
	h.kept = nil
	return list
}

// deliver sends webhooks to be applied, one after the other, and returns their
// outcomes.
func (h *hooks) deliver(list ...hook) []Outcome {
	h.b.t.Helper()
	h.mu.Lock()
	before := len(h.done)
	h.mu.Unlock()
	for _, one := range list {
		if err := h.post(one); err != nil {
			h.b.t.Fatal(err)
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.done[before:]
}

// deliverTogether sends them over several connections at once.
func (h *hooks) deliverTogether(list []hook, connections int) {
	h.b.t.Helper()
	next := make(chan hook)
	var all sync.WaitGroup
	for range connections {
		all.Go(func() {
			for one := range next {
				if err := h.post(one); err != nil {
					h.b.t.Error(err)
				}
			}
		})
	}
	for _, one := range list {
		next <- one
	}
	close(next)
	all.Wait()
	if h.b.t.Failed() {
		h.b.t.FailNow()
	}
}

func (h *hooks) post(one hook) error {
	req, err := http.NewRequestWithContext(h.b.ctx, http.MethodPost, h.inbox, bytes.NewReader(one.body))
	if err != nil {
		return err
	}
	req.Header.Set("X-GitHub-Event", one.event)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", resp.Status, answer)
	}
	return err
}

// orders are ways in which the same webhooks may come.
var orders = []struct {
	name    string
	arrange func(list []hook, seed uint64) []hook
}{
	{"as sent", func(list []hook, _ uint64) []hook { return list }},
	{"backwards", func(list []hook, _ uint64) []hook {
		var back []hook
		for i := range list {
			back = append(back, list[len(list)-1-i])
		}
		return back
	}},
	{"shuffled and doubled", func(list []hook, seed uint64) []hook {
		r := rand.New(rand.NewPCG(seed, 2))
		twice := append(append([]hook{}, list...), list...)
		r.Shuffle(len(twice), func(i, j int) { twice[i], twice[j] = twice[j], twice[i] })
		return twice
	}},
}

// counted are the columns that polls alone keep: GitHub changes them without an
// event of their object.
func (b *bundle) differentBesidesCounts(name string) string {
	var kept []string
	for line := range strings.SplitSeq(b.different(name), "\n") {
		counts := strings.HasPrefix(line, "milestone ") && (strings.Contains(line, "open_issues") || strings.Contains(line, "closed_issues"))
		if line != "" && !strings.HasPrefix(line, "repository ") && !counts {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "\n")
}

// poll makes every repository due now.
func (b *bundle) poll() {
	b.exec(`UPDATE pghub.sync_state SET next_poll_at = now() WHERE repository_id <> 0 AND next_poll_at IS NOT NULL`)
}

// quiet waits until no job is left that earlier webhooks queued.
func (b *bundle) quiet() {
	b.t.Helper()
	b.eventually("the queue is empty", func() string {
		if left := scan[int64](b, `SELECT count(*) FROM pghub.river_job WHERE kind IN ('refetch', 'poll') AND finalized_at IS NULL`); left > 0 {
			return fmt.Sprintf("%d jobs", left)
		}
		return ""
	})
}

// follow is a mirror that only webhooks and what they queue keep current.
func follow(t *testing.T, cfg githubsim.Config) (*bundle, *running, *hooks, []string) {
	t.Helper()
	b := setup(t, cfg)
	h := b.hooks()
	repos := b.repos()
	r := b.start(options{repos: repos, every: time.Hour})
	b.ready()
	b.same(repos...)
	return b, r, h, repos
}
