package web

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/pghub/pghub/syncer"
)

const (
	// maxWebhook is the size of body that is accepted: GitHub sends no larger payload.
	// https://docs.github.com/en/webhooks/webhook-events-and-payloads#payload-cap
	maxWebhook = 25 << 20
	// smallWebhook is the announced size up to which bodies are read without a place; nearly all are.
	smallWebhook = 512 << 10
	// largeWebhooks is how many larger bodies are in memory at a time: their signature is known only when they are.
	largeWebhooks = 4
	// storeTimeout bounds the storing of a delivery: GitHub gives up after 10 s and must have its answer before.
	storeTimeout = 5 * time.Second
)

// Webhooks says what POST /github/webhook does with deliveries.
type Webhooks struct {
	// Secret is the webhook's secret at GitHub. Empty: the endpoint does not exist, for who does not check signatures would
	// take anybody's word for GitHub's.
	Secret string
	// Store keeps a delivery whose signature is good. It returns false when it has been kept before; syncer.StoreDelivery does
	// that. Deliveries that can never be used are syncer.ErrNoPayload or syncer.ErrPayload.
	Store func(context.Context, syncer.Delivery) (stored bool, err error)
}

type webhooks struct {
	Webhooks
	log   *slog.Logger
	large chan struct{}
}

func newWebhooks(cfg Webhooks, log *slog.Logger) *webhooks {
	return &webhooks{Webhooks: cfg, log: log, large: make(chan struct{}, largeWebhooks)}
}

// refusal is an answer other than 202.
type refusal struct {
	status int
	text   string
}

// Error makes it an error.
func (r *refusal) Error() string { return r.text }

var (
	errSignature = &refusal{http.StatusUnauthorized, "the signature is missing or wrong: the webhook's secret must be the same at GitHub and here"}
	errTooLarge  = &refusal{http.StatusRequestEntityTooLarge, fmt.Sprintf("the body is larger than %d MB", maxWebhook>>20)}
	errBusy      = &refusal{http.StatusServiceUnavailable, "too many large deliveries at once"}
)

// ServeHTTP checks a delivery, keeps it and answers. What it means is found out later: GitHub waits for 10 s only.
//
// Answers: 202 kept, or known already; 400 no X-GitHub-Event or X-GitHub-Delivery, or no payload; 401 no good signature; 413
// more than 25 MB; 415 another content type; 503 not kept, because the database does not answer.
//
// https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
func (h *webhooks) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	d, err := h.read(r)
	if err == nil {
		ctx, cancel := context.WithTimeout(r.Context(), storeTimeout)
		defer cancel()
		_, err = h.Store(ctx, *d)
	}
	var no *refusal
	switch {
	case err == nil:
		w.WriteHeader(http.StatusAccepted)
	case errors.As(err, &no):
		if no == errTooLarge {
			w.Header().Set("Connection", "close") // the rest is not read
		}
		http.Error(w, no.text, no.status)
	case errors.Is(err, syncer.ErrNoPayload), errors.Is(err, syncer.ErrPayload):
		http.Error(w, "the body holds no payload", http.StatusBadRequest)
	default:
		h.log.Error("a webhook delivery could not be stored; GitHub can be asked to deliver it again", "guid", d.GUID, "event", d.Event, "error", err)
		http.Error(w, "the delivery could not be stored", http.StatusServiceUnavailable)
	}
}

var (
	eventPattern = regexp.MustCompile(`^[a-z0-9_]{1,100}$`)
	guidPattern  = regexp.MustCompile(`^[A-Za-z0-9-]{1,100}$`)
)

// keptHeaders tell which webhook it was.
var keptHeaders = []string{"X-GitHub-Hook-ID", "X-GitHub-Hook-Installation-Target-Type", "X-GitHub-Hook-Installation-Target-ID"}

// read makes a delivery of a request, or returns a *refusal. Nothing but the form of the request is judged before its
// signature.
func (h *webhooks) read(r *http.Request) (*syncer.Delivery, error) {
	signature, ok := parseSignature(r.Header.Values("X-Hub-Signature-256"))
	if !ok {
		return nil, errSignature
	}
	contentType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || contentType != syncer.ContentJSON && contentType != syncer.ContentForm {
		return nil, &refusal{http.StatusUnsupportedMediaType, "the content type must be " + syncer.ContentJSON + " or " + syncer.ContentForm}
	}
	body, err := h.readBody(r)
	if err != nil {
		return nil, err
	}
	if !signed(h.Secret, body, signature) {
		return nil, errSignature
	}
	d := &syncer.Delivery{
		GUID: r.Header.Get("X-GitHub-Delivery"), Event: r.Header.Get("X-GitHub-Event"),
		ContentType: contentType, Headers: map[string]string{}, Body: body, ReceivedAt: time.Now(),
	}
	if !guidPattern.MatchString(d.GUID) {
		return nil, &refusal{http.StatusBadRequest, "X-GitHub-Delivery is missing or unusable"}
	}
	if !eventPattern.MatchString(d.Event) {
		return nil, &refusal{http.StatusBadRequest, "X-GitHub-Event is missing or unusable"}
	}
	for _, name := range keptHeaders {
		if value := r.Header.Get(name); value != "" && len(value) <= 100 {
			d.Headers[name] = strings.ToValidUTF8(value, "\uFFFD")
		}
	}
	return d, nil
}

func (h *webhooks) readBody(r *http.Request) ([]byte, error) {
	if r.ContentLength > maxWebhook {
		return nil, errTooLarge
	}
	if r.ContentLength < 0 || r.ContentLength > smallWebhook {
		select {
		case h.large <- struct{}{}:
			defer func() { <-h.large }()
		default:
			timer := time.NewTimer(storeTimeout)
			defer timer.Stop()
			select {
			case h.large <- struct{}{}:
				defer func() { <-h.large }()
			case <-timer.C:
				return nil, errBusy
			case <-r.Context().Done():
				return nil, errBusy
			}
		}
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxWebhook+1))
	switch {
	case err != nil:
		return nil, &refusal{http.StatusBadRequest, "the body ended early"}
	case len(body) > maxWebhook:
		return nil, errTooLarge
	}
	return body, nil
}

// parseSignature reads X-Hub-Signature-256: sha256= and 64 hexadecimal digits, once.
func parseSignature(values []string) ([]byte, bool) {
	if len(values) != 1 {
		return nil, false
	}
	digits, ok := strings.CutPrefix(values[0], "sha256=")
	if !ok || len(digits) != 2*sha256.Size {
		return nil, false
	}
	signature, err := hex.DecodeString(digits)
	return signature, err == nil
}

// signed tells, in a time that does not depend on what was sent as signature, whether the body was signed with the secret.
func signed(secret string, body, signature []byte) bool {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	return hmac.Equal(mac.Sum(nil), signature)
}
