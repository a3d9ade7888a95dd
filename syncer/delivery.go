package syncer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
)

// The content types in which GitHub delivers, without parameters.
const (
	ContentJSON = "application/json"
	ContentForm = "application/x-www-form-urlencoded" // the payload is the field "payload"
)

// Delivery is one webhook delivery as it arrived. Whoever makes one has checked
// its signature.
type Delivery struct {
	// GUID is X-GitHub-Delivery, Event X-GitHub-Event.
	GUID, Event string
	// ContentType is ContentJSON or ContentForm.
	ContentType string
	// Headers are further headers to keep. Values must be valid UTF-8 without
	// U+0000.
	Headers map[string]string
	// Body is the body byte for byte.
	Body []byte
	// ReceivedAt is when it came.
	ReceivedAt time.Time
}

// ErrNoPayload says that a form has no field "payload".
var ErrNoPayload = errors.New(`the form has no field "payload"`)

// Payload returns the JSON text of the delivery. It is part of Body when that
// is JSON. The error is ErrNoPayload, or that of a form that cannot be read.
func (d *Delivery) Payload() ([]byte, error) {
	if d.ContentType != ContentForm {
		return d.Body, nil
	}
	form, err := url.ParseQuery(string(d.Body))
	if err != nil {
		return nil, errors.New("the body is not a form") // the cause quotes the body
	}
	if !form.Has("payload") {
		return nil, ErrNoPayload
	}
	return []byte(form.Get("payload")), nil
}

// about is what the table of deliveries shows of a payload.
type about struct {
	action                       string
	repositoryID, installationID *int64
	lane                         string
}

// describe reads what a delivery is about. Nothing is required of the payload:
// what it does not tell stays empty, and it shares a lane with its likes.
func describe(event string, payload []byte) about {
	var fields map[string]json.RawMessage
	if json.Unmarshal(payload, &fields) != nil {
		return about{lane: "-/" + event}
	}
	var a about
	if json.Unmarshal(fields["action"], &a.action) == nil {
		a.action = storable(a.action, 100)
	}
	object := func(name string) (o place) {
		if json.Unmarshal(fields[name], &o) != nil {
			return place{}
		}
		return o
	}
	home := "-"
	if id := object("repository").ID; id != 0 {
		a.repositoryID = &id
		home = fmt.Sprint(id)
	}
	if id := object("installation").ID; id != 0 {
		a.installationID = &id
	}
	switch issue := object("issue"); {
	case issue.Number != 0: // comments too: they follow their issue
		a.lane = fmt.Sprintf("%s/issue/%d", home, issue.Number)
	case object("label").ID != 0:
		a.lane = fmt.Sprintf("%s/label/%d", home, object("label").ID)
	case object("milestone").ID != 0:
		a.lane = fmt.Sprintf("%s/milestone/%d", home, object("milestone").ID)
	case a.repositoryID == nil && a.installationID != nil:
		a.lane = fmt.Sprintf("-/installation/%d", *a.installationID)
	default:
		a.lane = home + "/" + event
	}
	return a
}

// storable makes a text one that Postgres takes, of at most so many bytes.
func storable(text string, limit int) string {
	text = strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
	if len(text) > limit {
		text = strings.ToValidUTF8(text[:limit], "") + "..."
	}
	return text
}

// StoreDelivery keeps a delivery and queues its processing, in one transaction.
// It returns false when a delivery of that GUID is there already: nothing is
// done again then, unless that one is errored, which is processed once more. An
// error means that nothing was stored: the database failed, or (ErrNoPayload,
// ErrPayload) the delivery is unusable.
func StoreDelivery(ctx context.Context, db Beginner, d Delivery) (stored bool, err error) {
	payload, err := d.Payload()
	if errors.Is(err, ErrNoPayload) {
		return false, err
	}
	if err != nil {
		return false, fmt.Errorf("%w: %w", ErrPayload, err)
	}
	a := describe(d.Event, payload)
	headers := d.Headers
	if headers == nil {
		headers = map[string]string{}
	}
	err = retried(ctx, db, func(tx pgx.Tx) error {
		stored = false
		var args deliveryArgs
		err := tx.QueryRow(ctx, `
INSERT INTO pghub.delivery AS d (guid, event, action, repository_id, installation_id, lane, received_at, content_type, headers, body)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
ON CONFLICT (guid) DO UPDATE
   SET status = 'unprocessed', attempts = 0, next_try = clock_timestamp(), processed_at = NULL
 WHERE d.status = 'errored'
RETURNING seq, lane`,
			d.GUID, d.Event, a.action, a.repositoryID, a.installationID, a.lane, d.ReceivedAt, d.ContentType, headers, d.Body).Scan(&args.Seq, &args.Lane)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		stored = true
		return queueDeliveries(ctx, tx, []deliveryArgs{args})
	})
	if err != nil {
		return false, fmt.Errorf("storing delivery %s: %w", d.GUID, err)
	}
	return stored, nil
}

// deliveryArgs processes a delivery, and before it those of its lane that came
// earlier. There is a job for each delivery.
type deliveryArgs struct {
	Seq  int64  `json:"seq"`
	Lane string `json:"lane"`
}

func (deliveryArgs) Kind() string { return "delivery" }
func (deliveryArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: queueDelivery, Priority: 1, MaxAttempts: 25}
}

// deliveryFetch is how often workers look for deliveries at most, and how often
// they are told of new ones. River's default of 100 ms would be most of the
// time that a delivery takes; and what comes within it after another is told
// to nobody, to be found a second later.
const deliveryFetch = 5 * time.Millisecond

// deliveryQueue puts deliveries into the queue and runs nothing.
var deliveryQueue = sync.OnceValues(func() (*river.Client[pgx.Tx], error) {
	client, err := river.NewClient(riverpgxv5.New(nil), &river.Config{
		Schema: "pghub", Logger: slog.New(slog.DiscardHandler), FetchCooldown: time.Millisecond,
	})
	if err != nil {
		return nil, fmt.Errorf("preparing the queue of deliveries: %w", err)
	}
	return client, nil
})

func queueDeliveries(ctx context.Context, tx pgx.Tx, list []deliveryArgs) error {
	if len(list) == 0 {
		return nil
	}
	queue, err := deliveryQueue()
	if err != nil {
		return err
	}
	params := make([]river.InsertManyParams, len(list))
	for i, args := range list {
		params[i].Args = args
	}
	if _, err := queue.InsertManyFastTx(ctx, tx, params); err != nil {
		return fmt.Errorf("queueing the processing of %d deliveries: %w", len(list), err)
	}
	return nil
}
