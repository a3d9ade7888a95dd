package main

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pghub/pghub/syncer"
)

// lockedBuffer is written by the bar's goroutine and read by the test.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func TestProgressLines(t *testing.T) {
	t.Parallel()
	var out lockedBuffer
	p := newProgress(&console{out: &out}, false)
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	p.now = func() time.Time { return now }
	step := syncer.Progress{RepositoryID: 7, Repository: "a/b", Collection: "issue", State: syncer.StateBackfilling, Done: 100, Expected: 1000}
	p.Progress(step)
	step.Done = 200 // at the same moment: not told
	p.Progress(step)
	now = now.Add(progressLines)
	step.Done = 300
	p.Progress(step)
	other := step
	other.Collection, other.State, other.WaitingUntil = "label", syncer.StateLimited, now.Add(time.Minute)
	p.Progress(other)
	step.Done, step.State = 1100, syncer.StateLive
	p.Progress(step)
	other.State, other.WaitingUntil, other.Err = syncer.StateError, time.Time{}, errors.New("broken")
	p.Progress(other)
	p.finish(true)
	p.Progress(step) // a poll, later
	want := strings.Join([]string{
		"backfill: a/b issue: backfilling, 100 of about 1000",
		"backfill: a/b issue: backfilling, 300 of about 1000",
		"backfill: a/b label: limited, 300 of about 1000, waiting for GitHub's limit until 2026-01-01T00:01:02Z",
		"backfill: a/b issue: live, 1100 of about 1100",
		"backfill: a/b label: error, 300 of about 1000: broken",
		"",
	}, "\n")
	if got := out.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestProgressBar(t *testing.T) {
	t.Parallel()
	for _, complete := range []bool{true, false} {
		t.Run(fmt.Sprint(complete), func(t *testing.T) {
			t.Parallel()
			var out lockedBuffer
			c := &console{out: &out}
			p := newProgress(c, true)
			log := newLogger(c, 0)
			p.Progress(syncer.Progress{RepositoryID: 1, Collection: "issue", Done: 30, Expected: 60})
			p.Progress(syncer.Progress{RepositoryID: 1, Collection: "label", Done: 10, Expected: 10})
			log.Info("said meanwhile")
			p.Progress(syncer.Progress{RepositoryID: 1, Collection: "issue", Done: 61, Expected: 60})
			p.finish(complete)
			log.Info("said afterwards")
			got := out.String()
			for _, want := range []string{"said meanwhile", "said afterwards", "backfill"} {
				if !strings.Contains(got, want) {
					t.Errorf("%q is missing:\n%s", want, got)
				}
			}
			if complete != strings.Contains(got, "71 / 71") {
				t.Errorf("complete is %v, shown:\n%s", complete, got)
			}
		})
	}
}

func TestPrintStatus(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	var out bytes.Buffer
	err := printStatus(&out, []syncer.CollectionStatus{
		{Collection: "account", State: syncer.StateLive, Complete: true, Rows: 5, LastSync: at},
		{Repository: "a/b", Collection: "issue", State: syncer.StateBackfilling, Rows: 40, Done: 50, Expected: 200, LastSync: at, Cursor: at},
		{Repository: "a/b", Collection: "label", State: syncer.StateError, LastError: "two\nlines", LastErrorAt: at},
	})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for line := range strings.Lines(out.String()) {
		got = append(got, strings.Join(strings.Fields(line), " "))
	}
	want := []string{
		"REPOSITORY TABLE STATE ROWS CURSOR LAST SYNC LAST ERROR",
		"- account live 5 - 2026-11-20T12:00:00Z -",
		"a/b issue backfilling 25% 40 2026-11-20T12:00:00Z 2026-11-20T12:00:00Z -",
		"a/b label error 0 - - 2026-11-20T12:00:00Z two lines",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
