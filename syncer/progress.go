package syncer

import "time"

// Progress is one step forward, or one change of state, of a collection.
type Progress struct {
	RepositoryID int64
	// Repository is the full name as GitHub has it now.
	Repository string
	// Collection is the table's name, such as "issue".
	Collection string
	State      State
	// Done and Expected count the objects of GitHub's list during the first
	// backfill; for issues that includes the pull requests in it. Expected is
	// an estimate taken when the backfill began, and 0 while unknown.
	Done, Expected int64
	// WaitingUntil is set in StateLimited: when GitHub's limit ends.
	WaitingUntil time.Time
	// Err is set in StateError.
	Err error
}

// ProgressSink is told how the first backfill advances. Progress is called
// from several goroutines at once, after the step was committed, and must
// return quickly.
type ProgressSink interface {
	Progress(Progress)
}

type silent struct{}

func (silent) Progress(Progress) {}
