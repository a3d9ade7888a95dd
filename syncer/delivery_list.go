package syncer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// DeliveryStatuses are what a delivery can be, in the order in which it passes
// through them.
var DeliveryStatuses = []string{"unprocessed", "processing", "processed", "ignored", "errored"}

// StoredDelivery is a delivery and what became of it.
type StoredDelivery struct {
	Delivery
	Seq    int64
	Action string
	// RepositoryID and InstallationID are 0 when the payload names none.
	RepositoryID, InstallationID int64
	// Status is one of DeliveryStatuses; Reason why it was ignored or failed,
	// or what was queued to complete it.
	Status, Reason string
	Attempts       int
	// ProcessedAt is zero while it is unprocessed or processing. NextTry is when
	// it is due, or was.
	ProcessedAt, NextTry time.Time
	// Size is that of the body, in bytes.
	Size int64
}

const deliveryColumns = `seq, guid, event, action, coalesce(repository_id, 0), coalesce(installation_id, 0), status, reason, attempts,
       received_at, processed_at, next_try, content_type, headers, octet_length(body)`

func (d *StoredDelivery) scan(row pgx.Row, more ...any) error {
	var processedAt *time.Time
	err := row.Scan(append([]any{
		&d.Seq, &d.GUID, &d.Event, &d.Action, &d.RepositoryID, &d.InstallationID, &d.Status, &d.Reason, &d.Attempts,
		&d.ReceivedAt, &processedAt, &d.NextTry, &d.ContentType, &d.Headers, &d.Size}, more...)...)
	if processedAt != nil {
		d.ProcessedAt = *processedAt
	}
	return err
}

// ErrNoDelivery says that there is no delivery of a GUID, or not any more.
var ErrNoDelivery = errors.New("there is no such delivery")

// Deliveries lists the newest deliveries, without bodies: those of one status,
// or all for "", at most limit.
func Deliveries(ctx context.Context, pool *pgxpool.Pool, status string, limit int) ([]StoredDelivery, error) {
	if status != "" && !slices.Contains(DeliveryStatuses, status) {
		return nil, fmt.Errorf("%q is not a status of deliveries: %q", status, DeliveryStatuses)
	}
	where, args := "", []any{limit}
	if status != "" {
		where, args = "WHERE status = $2", append(args, status)
	}
	rows, err := pool.Query(ctx, fmt.Sprintf(`SELECT %s FROM pghub.delivery %s ORDER BY seq DESC LIMIT $1`, deliveryColumns, where), args...)
	if err != nil {
		return nil, fmt.Errorf("listing deliveries: %w", err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (d StoredDelivery, err error) { return d, d.scan(row) })
	if err != nil {
		return nil, fmt.Errorf("listing deliveries: %w", err)
	}
	return list, nil
}

// GetDelivery returns one delivery with its body, or ErrNoDelivery (wrapped).
func GetDelivery(ctx context.Context, pool *pgxpool.Pool, guid string) (*StoredDelivery, error) {
	var d StoredDelivery
	err := d.scan(pool.QueryRow(ctx, fmt.Sprintf(`SELECT %s, body FROM pghub.delivery WHERE guid = $1`, deliveryColumns), guid), &d.Body)
	if errors.Is(err, pgx.ErrNoRows) {
		err = ErrNoDelivery
	}
	if err != nil {
		return nil, fmt.Errorf("delivery %s: %w", guid, err)
	}
	return &d, nil
}

// RetryDelivery has a delivery processed once more, whatever became of it. It
// returns ErrNoDelivery (wrapped) when there is none, and an error while it is
// being processed.
func RetryDelivery(ctx context.Context, pool *pgxpool.Pool, guid string) error {
	n, err := retryDeliveries(ctx, pool, `guid = $1 AND status <> 'processing'`, guid)
	if err != nil || n > 0 {
		return err
	}
	if _, err := GetDelivery(ctx, pool, guid); err != nil {
		return err
	}
	return fmt.Errorf("delivery %s is being processed", guid)
}

// RetryErrored has all errored deliveries processed once more, and returns how
// many there are.
func RetryErrored(ctx context.Context, pool *pgxpool.Pool) (int, error) {
	return retryDeliveries(ctx, pool, `status = 'errored'`)
}

func retryDeliveries(ctx context.Context, pool *pgxpool.Pool, where string, args ...any) (n int, err error) {
	err = inTx(ctx, pool, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `
UPDATE pghub.delivery SET status = 'unprocessed', attempts = 0, reason = '', next_try = clock_timestamp(), processed_at = NULL
 WHERE `+where+` RETURNING seq, lane`, args...)
		if err != nil {
			return err
		}
		list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[deliveryArgs])
		if err != nil {
			return err
		}
		slices.SortFunc(list, func(a, b deliveryArgs) int { return int(a.Seq - b.Seq) })
		n = len(list)
		return queueDeliveries(ctx, tx, list)
	})
	if err != nil {
		return 0, fmt.Errorf("having deliveries processed again: %w", err)
	}
	return n, nil
}
