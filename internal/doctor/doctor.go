// Package doctor finds out why a pghub does not work, or will not, before a user
// has to: it looks at the database, at GitHub and the credential, and, where the
// user names a scratch repository, tries what GitHub promises there.
//
// Checks change nothing, except those of Live.
package doctor

import (
	"fmt"
	"io"
	"strings"
)

// Level says how bad a finding is.
type Level string

// The levels.
const (
	OK   Level = "ok"
	Warn Level = "warn" // works, but not all of it or not for long
	Fail Level = "fail"
)

// Finding is the result of one check.
type Finding struct {
	Level Level
	// What was looked at, in a word or two.
	What string
	// Text is what was found.
	Text string
	// Fix is what the user can do about it; empty for OK.
	Fix string
}

// Report prints findings as they are made, and counts them. Use NewReport.
type Report struct {
	out      io.Writer
	findings []Finding
}

// NewReport makes a report that is printed to out.
func NewReport(out io.Writer) *Report { return &Report{out: out} }

// Findings are all findings so far, in order.
func (r *Report) Findings() []Finding { return r.findings }

// Count tells how many findings have a level.
func (r *Report) Count(level Level) (n int) {
	for _, f := range r.findings {
		if f.Level == level {
			n++
		}
	}
	return n
}

func (r *Report) add(f Finding) {
	f.Text, f.Fix = oneLine(f.Text), oneLine(f.Fix)
	r.findings = append(r.findings, f)
	fmt.Fprintf(r.out, "%-4s  %s: %s\n", f.Level, f.What, f.Text)
	if f.Fix != "" {
		fmt.Fprintf(r.out, "      fix: %s\n", f.Fix)
	}
}

func (r *Report) ok(what, format string, args ...any) {
	r.add(Finding{Level: OK, What: what, Text: fmt.Sprintf(format, args...)})
}

func (r *Report) warn(what, fix, format string, args ...any) {
	r.add(Finding{Level: Warn, What: what, Fix: fix, Text: fmt.Sprintf(format, args...)})
}

func (r *Report) fail(what, fix, format string, args ...any) {
	r.add(Finding{Level: Fail, What: what, Fix: fix, Text: fmt.Sprintf(format, args...)})
}

// Missing adds what the caller itself found to be missing.
func (r *Report) Missing(level Level, what, text, fix string) {
	r.add(Finding{Level: level, What: what, Text: text, Fix: fix})
}

// oneLine keeps texts of servers from looking like lines of ours.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
