package schema

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// EventTable is the table of schema github that holds the change stream. Triggers write it; see docs/change-stream.md.
const EventTable = "event"

// EventChannel is the channel of the NOTIFY that follows a transaction with events. The payload is the name of the
// changed table, each once in a transaction.
const EventChannel = "github_event"

// Publication is the publication of EventTable for logical replication.
const Publication = "pghub_events"

// Origin is how a change came into the mirror: column origin of github.event. The row that a client wrote has
// OriginWrite whatever is said here, a change of unknown origin has "sync".
type Origin string

// The origins that callers of Upsert and Delete state by WithOrigin.
const (
	OriginBackfill Origin = "backfill" // the first reading of a list
	OriginPoll     Origin = "poll"     // a later reading
	OriginWebhook  Origin = "webhook"  // an event that GitHub sent
	OriginRefetch  Origin = "refetch"  // one object read again
	OriginWrite    Origin = "write"    // a client, through the proxy: here, what GitHub's answer to it refers to
	OriginRepair   Origin = "repair"   // after a client's transaction that did not keep its write
)

type originKey struct{}

// WithOrigin makes Upsert and Delete say where their changes come from. It holds from the first of them to the end of
// the transaction, for other statements too.
func WithOrigin(ctx context.Context, origin Origin) context.Context {
	return context.WithValue(ctx, originKey{}, origin)
}

// originOf is empty when nothing was said.
func originOf(ctx context.Context) string {
	origin, _ := ctx.Value(originKey{}).(Origin)
	return string(origin)
}

func setOrigin(ctx context.Context, tx pgx.Tx) error {
	origin := originOf(ctx)
	if origin == "" {
		return nil
	}
	if _, err := tx.Exec(ctx, `SELECT set_config('pghub.origin', $1, true)`, origin); err != nil {
		return fmt.Errorf("saying where changes come from: %w", err)
	}
	return nil
}
