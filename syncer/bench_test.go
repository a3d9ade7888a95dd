package syncer

import (
	"context"
	"log/slog"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/pghub/pghub/internal/embedpg/embedpgtest"
	"github.com/pghub/pghub/internal/ghapi"
	"github.com/pghub/pghub/internal/githubsim"
	"github.com/pghub/pghub/schema"
)

// BenchmarkBackfill measures the first backfill of 3 repositories with some
// 3,000 issues and 6,000 comments from a simulated GitHub without limits:
// rows/s of all tables, and requests for 1,000 rows. The simulator and
// Postgres run on the same machine and share its cores.
func BenchmarkBackfill(b *testing.B) {
	sim := githubsim.New(githubsim.Config{Seed: 1, Repos: 3, Issues: 3000, PrimaryLimit: 1_000_000})
	server := httptest.NewServer(sim)
	defer server.Close()
	defer sim.Close()
	quietLog := slog.New(slog.DiscardHandler)
	var rows, requests int64
	for range b.N {
		b.StopTimer()
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
		database := embedpgtest.URL(b)
		if err := schema.Migrate(ctx, database); err != nil {
			b.Fatal(err)
		}
		pool, err := schema.Connect(ctx, database)
		if err != nil {
			b.Fatal(err)
		}
		api, err := ghapi.New(ghapi.Config{BaseURL: server.URL, Token: sim.Token(), PointsPerMinute: -1, Logger: quietLog})
		if err != nil {
			b.Fatal(err)
		}
		live := make(chan struct{}, 100)
		s, err := New(Config{Pool: pool, API: api, PollInterval: time.Hour, Logger: quietLog, Progress: sinkFunc(func(p Progress) {
			if p.State == StateLive {
				live <- struct{}{}
			}
		})})
		if err != nil {
			b.Fatal(err)
		}
		run, stop := context.WithCancel(ctx)
		done := make(chan error, 1)
		b.StartTimer()
		go func() { done <- s.Run(run) }()
		for ready := false; !ready; {
			select {
			case <-live:
			case <-ctx.Done():
				b.Fatal("the backfill takes too long")
			}
			if ready, _, err = Ready(ctx, pool); err != nil {
				b.Fatal(err)
			}
		}
		b.StopTimer()
		list, err := Status(ctx, pool)
		if err != nil {
			b.Fatal(err)
		}
		for _, c := range list {
			rows += c.Rows
		}
		requests += api.Requests()
		stop()
		if err := <-done; err != nil {
			b.Fatal(err)
		}
		pool.Close()
		cancel()
		b.StartTimer()
	}
	b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
	b.ReportMetric(float64(requests)*1000/float64(rows), "requests/1000rows")
}

type sinkFunc func(Progress)

func (f sinkFunc) Progress(p Progress) { f(p) }
