package main

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/pghub/pghub/syncer"
)

// progressLines is the least time between two lines about one collection, where there is no terminal for a bar.
const progressLines = 2 * time.Second

// progress shows how far the first backfill is: as a bar on a terminal, as lines elsewhere. It implements
// syncer.ProgressSink.
type progress struct {
	out     io.Writer // for lines
	console *console
	now     func() time.Time

	mu     sync.Mutex
	state  map[progressKey]syncer.Progress
	said   map[progressKey]time.Time
	over   bool
	bars   *mpb.Progress
	bar    *mpb.Bar
	screen io.Writer // of the bar; nil: lines
}

type progressKey struct {
	repository int64
	collection string
}

// newProgress writes to c's stream; the bar appears with the first step.
func newProgress(c *console, terminal bool) *progress {
	p := &progress{out: c, console: c, now: time.Now, state: map[progressKey]syncer.Progress{}, said: map[progressKey]time.Time{}}
	if terminal {
		p.screen = c.out
	}
	return p
}

// Progress takes one step.
func (p *progress) Progress(step syncer.Progress) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over {
		return
	}
	key := progressKey{step.RepositoryID, step.Collection}
	before := p.state[key]
	p.state[key] = step
	if p.screen == nil {
		p.line(key, before, step)
		return
	}
	if p.bar == nil {
		p.bars = mpb.New(mpb.WithOutput(p.screen), mpb.WithWidth(40), mpb.WithAutoRefresh())
		p.bar = p.bars.AddBar(0,
			mpb.PrependDecorators(decor.Name("backfill "), decor.CountersNoUnit("%d / %d")),
			mpb.AppendDecorators(decor.Percentage(), decor.Name("  "), decor.AverageETA(decor.ET_STYLE_GO)),
		)
		p.console.writeAbove(p.bars)
	}
	done, total := p.sum()
	// The total is an estimate: the bar must not take itself for complete when it was too low.
	p.bar.SetTotal(max(total, done+1), false)
	p.bar.SetCurrent(done)
}

// line says how far a collection is, when its state changes or some time has passed.
func (p *progress) line(key progressKey, before, step syncer.Progress) {
	if before.State == step.State && p.now().Sub(p.said[key]) < progressLines {
		return
	}
	p.said[key] = p.now()
	text := fmt.Sprintf("backfill: %s %s: %s", orDash(step.Repository), step.Collection, step.State)
	if step.Expected > 0 {
		text += fmt.Sprintf(", %d of about %d", step.Done, max(step.Expected, step.Done))
	} else if step.Done > 0 {
		text += fmt.Sprintf(", %d", step.Done)
	}
	if !step.WaitingUntil.IsZero() {
		text += ", waiting for GitHub's limit until " + timeText(step.WaitingUntil)
	}
	if step.Err != nil {
		text += ": " + step.Err.Error()
	}
	fmt.Fprintln(p.out, text)
}

func (p *progress) sum() (done, total int64) {
	for _, s := range p.state {
		done += s.Done
		total += max(s.Done, s.Expected)
	}
	return done, total
}

// finish ends the display: complete, or left as it stands.
func (p *progress) finish(complete bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over {
		return
	}
	p.over = true
	if p.bar == nil {
		return
	}
	if complete {
		done, _ := p.sum()
		p.bar.SetTotal(done, false)
		p.bar.SetCurrent(done)
		p.bar.SetTotal(-1, true)
	} else {
		p.bar.Abort(false)
	}
	p.bars.Wait()
	p.console.writeAbove(nil)
}
