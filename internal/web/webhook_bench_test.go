package web_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pghub/pghub/internal/ghapi"
	"github.com/pghub/pghub/internal/githubsim"
	"github.com/pghub/pghub/internal/web"
	"github.com/pghub/pghub/syncer"
)

// BenchmarkWebhookToRow reports the time from the start of the POST of an issue's edit to the notification that its row was
// committed, at a steady rate of deliveries over several repositories: the median, the 99th percentile and the longest, in ms;
// and the median of the time to the answer. One run lasts for 10 s: use -benchtime 1x.
func BenchmarkWebhookToRow(b *testing.B) {
	for _, rate := range []int{50, 200} {
		b.Run(fmt.Sprintf("%d a second", rate), func(b *testing.B) {
			for range b.N {
				toRow(b, rate, 10*rate)
			}
		})
	}
}

func toRow(b *testing.B, rate, deliveries int) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	p := migrated(b)
	var ahead atomic.Int64 // every edit has a second of its own, so that updated_at alone orders them
	sim := githubsim.New(githubsim.Config{Seed: 3, Repos: 5, Issues: 400, PrimaryLimit: 1_000_000,
		Now: func() time.Time { return time.Now().Add(time.Duration(ahead.Load()) * time.Second) }})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	var parts sync.WaitGroup
	defer parts.Wait()
	running, stop := context.WithCancel(ctx)
	defer stop()
	run := func(part func(context.Context) error) {
		parts.Go(func() {
			if err := part(running); err != nil {
				b.Error(err)
			}
		})
	}
	run(func(ctx context.Context) error { return sim.Serve(ctx, l) })
	api, err := ghapi.New(ghapi.Config{BaseURL: "http://" + l.Addr().String(), Token: sim.Token(), PointsPerMinute: -1, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	s, err := syncer.New(syncer.Config{Pool: p, API: api, PollInterval: time.Hour, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	run(s.Run)
	for {
		if ready, _, err := syncer.Ready(ctx, p); err != nil {
			b.Fatal(err)
		} else if ready {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}

	// The simulated GitHub writes the payloads to nobody; they are posted below.
	sim.SetWebhook("http://127.0.0.1:1/", exampleSecret)
	type issue struct {
		repo   string
		number int64
	}
	var issues []issue
	for _, r := range sim.Repositories() {
		list, err := sim.Issues(r.FullName)
		if err != nil {
			b.Fatal(err)
		}
		for _, i := range list {
			if !i.PullRequest {
				issues = append(issues, issue{r.FullName, i.Number})
			}
		}
	}
	for i := range deliveries {
		at := issues[(i*37)%len(issues)]
		title := fmt.Sprintf("measured %d", i)
		ahead.Add(1)
		if _, err := sim.EditIssue(at.repo, at.number, "", githubsim.IssueEdit{Title: &title}); err != nil {
			b.Fatal(err)
		}
	}
	sent := sim.Deliveries()
	if len(sent) != deliveries {
		b.Fatalf("%d deliveries, want %d", len(sent), deliveries)
	}

	// Postgres tells a listener of each row at the moment of its commit.
	if _, err := p.Exec(ctx, `
CREATE FUNCTION pghub.measured() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_notify('measured', NEW.title); RETURN NULL; END $$;
CREATE TRIGGER measured AFTER INSERT OR UPDATE ON github.issue FOR EACH ROW WHEN (NEW.title LIKE 'measured %') EXECUTE FUNCTION pghub.measured()`); err != nil {
		b.Fatal(err)
	}
	listener, err := p.Acquire(ctx)
	if err != nil {
		b.Fatal(err)
	}
	defer listener.Release()
	if _, err := listener.Exec(ctx, `LISTEN measured`); err != nil {
		b.Fatal(err)
	}
	seen := make([]time.Time, deliveries)
	all := make(chan struct{})
	go func() {
		defer close(all)
		for left := deliveries; left > 0; {
			n, err := listener.Conn().WaitForNotification(ctx)
			if err != nil {
				b.Error(err)
				return
			}
			var i int
			if _, err := fmt.Sscanf(n.Payload, "measured %d", &i); err == nil && seen[i].IsZero() {
				seen[i] = time.Now()
				left--
			}
		}
	}()

	url, _ := endpoint(b, web.Webhooks{Secret: exampleSecret, Store: func(ctx context.Context, d syncer.Delivery) (bool, error) { return syncer.StoreDelivery(ctx, p, d) }})
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}}
	posted, answered := make([]time.Time, deliveries), make([]time.Duration, deliveries)
	var posts sync.WaitGroup
	tick := time.NewTicker(time.Second / time.Duration(rate))
	defer tick.Stop()
	b.ResetTimer()
	for i := range deliveries {
		<-tick.C
		posts.Go(func() {
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(sent[i].Payload))
			if err != nil {
				b.Error(err)
				return
			}
			req.Header.Set("Content-Type", syncer.ContentJSON)
			req.Header.Set("X-GitHub-Event", sent[i].Event)
			req.Header.Set("X-GitHub-Delivery", sent[i].ID)
			req.Header.Set("X-Hub-Signature-256", sign(exampleSecret, sent[i].Payload))
			posted[i] = time.Now()
			resp, err := client.Do(req)
			if err != nil {
				b.Error(err)
				return
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			answered[i] = time.Since(posted[i])
			if resp.StatusCode != http.StatusAccepted {
				b.Error(resp.Status)
			}
		})
	}
	posts.Wait()
	<-all
	b.StopTimer()
	var took []time.Duration
	for i := range seen {
		took = append(took, seen[i].Sub(posted[i]))
	}
	slices.Sort(took)
	slices.Sort(answered)
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	b.ReportMetric(ms(took[len(took)/2]), "p50-ms")
	b.ReportMetric(ms(took[len(took)*99/100]), "p99-ms")
	b.ReportMetric(ms(took[len(took)-1]), "max-ms")
	b.ReportMetric(ms(answered[len(answered)/2]), "answer-p50-ms")
}
