package githubsim

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// Bounds of the webhook sender.
const (
	maxQueuedDeliveries = 10_000
	maxKeptDeliveries   = 10_000
	deliveryTimeout     = 10 * time.Second // GitHub's own
)

// Delivery is one event that was to be sent to the webhook URL.
type Delivery struct {
	ID      string `json:"id"` // X-GitHub-Delivery, the same when sent again
	Event   string `json:"event"`
	Action  string `json:"action"`
	Payload []byte `json:"-"`
	// RepositoryID is what the webhook is installed on.
	RepositoryID int64 `json:"repository_id"`
	// Status is the receiver's answer of the last attempt; 0 while queued, when
	// nobody answered, or when the queue was full.
	Status   int    `json:"status"`
	Attempts int    `json:"attempts"`
	Error    string `json:"error,omitempty"`
}

// hookSender posts events in order from one goroutine, which ends with close.
// Like GitHub it does not send again what failed unless it is asked to.
type hookSender struct {
	log    *slog.Logger
	client *http.Client
	queue  chan *Delivery
	ctx    context.Context
	cancel context.CancelFunc
	done   chan struct{}

	mu          sync.Mutex
	url, secret string
	started     bool
	kept        []*Delivery
	last        int64
}

func newHookSender(log *slog.Logger) *hookSender {
	ctx, cancel := context.WithCancel(context.Background())
	return &hookSender{
		log: log,
		client: &http.Client{
			Timeout:       deliveryTimeout,
			Transport:     &http.Transport{MaxIdleConnsPerHost: 1, IdleConnTimeout: 30 * time.Second},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		queue: make(chan *Delivery, maxQueuedDeliveries),
		ctx:   ctx, cancel: cancel,
		done: make(chan struct{}),
	}
}

// set names the receiver and starts the goroutine when there is one.
func (h *hookSender) set(url, secret string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.url, h.secret = url, secret
	if url != "" && !h.started && h.ctx.Err() == nil {
		h.started = true
		go h.run()
	}
}

func (h *hookSender) enabled() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.url != ""
}

func (h *hookSender) close() {
	h.cancel()
	h.mu.Lock()
	started := h.started
	h.mu.Unlock()
	if started {
		<-h.done
	}
	h.client.CloseIdleConnections()
}

// send queues an event. A full queue drops it, which the delivery's Error tells.
func (h *hookSender) send(event, action string, repositoryID int64, payload []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last++
	d := &Delivery{ID: fmt.Sprintf("%08x-5eed-11f0-8000-%012x", h.last*2654435761&0xffffffff, h.last), Event: event, Action: action, Payload: payload, RepositoryID: repositoryID}
	if len(h.kept) >= maxKeptDeliveries {
		h.kept = append(h.kept[:0:0], h.kept[maxKeptDeliveries/4:]...)
	}
	h.kept = append(h.kept, d)
	h.enqueue(d)
}

func (h *hookSender) enqueue(d *Delivery) {
	select {
	case h.queue <- d:
	default:
		d.Error = "dropped: the queue of deliveries is full"
	}
}

func (h *hookSender) run() {
	defer close(h.done)
	for {
		select {
		case <-h.ctx.Done():
			return
		case d := <-h.queue:
			h.post(d)
		}
	}
}

func (h *hookSender) post(d *Delivery) {
	h.mu.Lock()
	url, secret := h.url, h.secret
	h.mu.Unlock()
	if url == "" {
		return
	}
	status, err := h.attempt(url, secret, d)
	h.mu.Lock()
	defer h.mu.Unlock()
	d.Attempts++
	d.Status, d.Error = status, ""
	if err != nil {
		d.Error = err.Error()
		h.log.Debug("simulated webhook not delivered", "event", d.Event, "error", err)
	}
}

func (h *hookSender) attempt(url, secret string, d *Delivery) (int, error) {
	req, err := http.NewRequestWithContext(h.ctx, http.MethodPost, url, bytes.NewReader(d.Payload))
	if err != nil {
		return 0, fmt.Errorf("making the request of a webhook: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "GitHub-Hookshot/5eed5ee")
	req.Header.Set("X-Github-Delivery", d.ID)
	req.Header.Set("X-Github-Event", d.Event)
	req.Header.Set("X-Github-Hook-Id", "430000001")
	req.Header.Set("X-Github-Hook-Installation-Target-Type", "repository")
	req.Header.Set("X-Github-Hook-Installation-Target-Id", strconv.FormatInt(d.RepositoryID, 10))
	if secret != "" {
		req.Header.Set("X-Hub-Signature-256", Signature(secret, d.Payload))
	}
	resp, err := h.client.Do(req)
	if err != nil {
		return 0, fmt.Errorf("sending a webhook: %w", err)
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, 64<<10) // so that the connection can be used again
	return resp.StatusCode, nil
}

// Signature is the value of X-Hub-Signature-256 for a body.
func Signature(secret string, body []byte) string {
	m := hmac.New(sha256.New, []byte(secret))
	m.Write(body)
	return "sha256=" + hex.EncodeToString(m.Sum(nil))
}

// SetWebhook names the receiver of events from now on; an empty url stops them.
func (s *Server) SetWebhook(url, secret string) { s.hooks.set(url, secret) }

// Deliveries returns what was sent or is to be sent, oldest first.
func (s *Server) Deliveries() []Delivery {
	s.hooks.mu.Lock()
	defer s.hooks.mu.Unlock()
	out := make([]Delivery, 0, len(s.hooks.kept))
	for _, d := range s.hooks.kept {
		out = append(out, *d)
	}
	return out
}

// Redeliver sends a delivery again under its own id. It reports false when there
// is no such delivery.
func (s *Server) Redeliver(id string) bool {
	s.hooks.mu.Lock()
	defer s.hooks.mu.Unlock()
	for _, d := range s.hooks.kept {
		if d.ID == id {
			s.hooks.enqueue(d)
			return true
		}
	}
	return false
}
