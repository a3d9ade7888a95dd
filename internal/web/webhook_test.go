package web_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pghub/pghub/internal/embedpg/embedpgtest"
	"github.com/pghub/pghub/internal/githubsim"
	"github.com/pghub/pghub/internal/web"
	"github.com/pghub/pghub/schema"
	"github.com/pghub/pghub/syncer"
)

// The published example.
// https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries#testing-the-webhook-payload-validation
const (
	exampleSecret    = "It's a Secret to Everybody"
	exampleBody      = "Hello, World!"
	exampleSignature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
)

func sign(secret string, body []byte) string {
	m := hmac.New(sha256.New, []byte(secret))
	m.Write(body)
	return "sha256=" + hex.EncodeToString(m.Sum(nil))
}

// kept is an inbox in memory, with StoreDelivery's judgement of payloads.
type kept struct {
	mu   sync.Mutex
	list []syncer.Delivery
}

func (k *kept) store(_ context.Context, d syncer.Delivery) (bool, error) {
	if _, err := d.Payload(); err != nil {
		return false, errors.Join(syncer.ErrPayload, err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.list = append(k.list, d)
	return true, nil
}

func (k *kept) count() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.list)
}

// endpoint serves webhooks over HTTP and returns the URL and what is logged.
func endpoint(t testing.TB, hooks web.Webhooks) (string, *lockedLog) {
	t.Helper()
	log := &lockedLog{}
	server := httptest.NewServer(web.Handler(web.Config{Webhooks: hooks, Logger: slog.New(slog.NewTextHandler(log, nil))}))
	t.Cleanup(server.Close)
	return server.URL + web.WebhookPath, log
}

type lockedLog struct {
	mu sync.Mutex
	bytes.Buffer
}

func (l *lockedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Buffer.Write(p)
}

func (l *lockedLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Buffer.String()
}

// post sends a delivery; header values replace the good ones, "-" leaves one out.
func post(t testing.TB, url string, body io.Reader, header map[string]string) (int, string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, url, body)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{
		"Content-Type": "application/json", "X-GitHub-Event": "issues", "X-GitHub-Delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958",
		"X-GitHub-Hook-ID": "292430182", "X-Hub-Signature-256": exampleSignature,
	}
	for name, value := range header {
		all[name] = value
	}
	for name, value := range all {
		if value != "-" {
			req.Header.Set(name, value)
		}
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(answer)
}

func TestWebhook(t *testing.T) {
	t.Parallel()
	type m = map[string]string
	form := "payload=" + url.QueryEscape(`{"action":"opened"}`)
	for _, test := range []struct {
		name, body string
		header     m
		want       int
	}{
		{"GitHub's example", exampleBody, nil, 202},
		{"another case of digits", exampleBody, m{"X-Hub-Signature-256": "sha256=" + strings.ToUpper(exampleSignature[7:])}, 202},
		{"content type with charset", exampleBody, m{"Content-Type": "application/json; charset=utf-8"}, 202},
		{"form", form, m{"Content-Type": "application/x-www-form-urlencoded", "X-Hub-Signature-256": sign(exampleSecret, []byte(form))}, 202},
		{"NUL and bad UTF-8", "{\"a\":\"\x00\\u0000\xff\"}", m{"X-Hub-Signature-256": sign(exampleSecret, []byte("{\"a\":\"\x00\\u0000\xff\"}"))}, 202},
		{"empty body", "", m{"X-Hub-Signature-256": sign(exampleSecret, nil)}, 202},
		{"form without payload", "a=b", m{"Content-Type": "application/x-www-form-urlencoded", "X-Hub-Signature-256": sign(exampleSecret, []byte("a=b"))}, 400},
		{"broken form", "payload=%zz", m{"Content-Type": "application/x-www-form-urlencoded", "X-Hub-Signature-256": sign(exampleSecret, []byte("payload=%zz"))}, 400},
		{"other body", exampleBody + " ", nil, 401},
		{"no signature", exampleBody, m{"X-Hub-Signature-256": "-"}, 401},
		{"empty signature", exampleBody, m{"X-Hub-Signature-256": ""}, 401},
		{"signature cut short", exampleBody, m{"X-Hub-Signature-256": exampleSignature[:60]}, 401},
		{"signature of no digits", exampleBody, m{"X-Hub-Signature-256": "sha256=" + strings.Repeat("z", 64)}, 401},
		{"no algorithm", exampleBody, m{"X-Hub-Signature-256": exampleSignature[7:]}, 401},
		{"SHA-1 alone", exampleBody, m{"X-Hub-Signature-256": "-", "X-Hub-Signature": "sha1=0f1e"}, 401},
		{"signed with another secret", exampleBody, m{"X-Hub-Signature-256": sign("another", []byte(exampleBody))}, 401},
		{"signed with the empty secret", exampleBody, m{"X-Hub-Signature-256": sign("", []byte(exampleBody))}, 401},
		{"no event", exampleBody, m{"X-GitHub-Event": "-"}, 400},
		{"strange event", exampleBody, m{"X-GitHub-Event": "is\xffsues"}, 400},
		{"no GUID", exampleBody, m{"X-GitHub-Delivery": "-"}, 400},
		{"long GUID", exampleBody, m{"X-GitHub-Delivery": strings.Repeat("a", 101)}, 400},
		{"no event and a bad signature", exampleBody + " ", m{"X-GitHub-Event": "-"}, 401},
		{"other content type", exampleBody, m{"Content-Type": "text/plain"}, 415},
		{"no content type", exampleBody, m{"Content-Type": "-"}, 415},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			inbox := &kept{}
			url, log := endpoint(t, web.Webhooks{Secret: exampleSecret, Store: inbox.store})
			got, answer := post(t, url, strings.NewReader(test.body), test.header)
			if got != test.want {
				t.Errorf("%d %s, want %d", got, answer, test.want)
			}
			if n := inbox.count(); n > 0 != (test.want == 202) {
				t.Errorf("%d deliveries stored", n)
			}
			if test.want == 202 {
				if d := inbox.list[0]; string(d.Body) != test.body || d.Event != "issues" || d.Headers["X-GitHub-Hook-ID"] != "292430182" || d.ReceivedAt.IsZero() {
					t.Errorf("stored %+v", d)
				}
			}
			if said := log.String() + answer; strings.Contains(said, exampleSecret) || strings.Contains(said, exampleSignature[7:]) || test.body != "" && strings.Contains(said, test.body) {
				t.Errorf("a secret or a payload is told: %s", said)
			}
		})
	}
}

func TestWebhookWithoutSecret(t *testing.T) {
	t.Parallel()
	inbox := &kept{}
	url, _ := endpoint(t, web.Webhooks{Store: inbox.store})
	got, _ := post(t, url, strings.NewReader(exampleBody), map[string]string{"X-Hub-Signature-256": sign("", []byte(exampleBody))})
	if got != 404 || inbox.count() != 0 {
		t.Errorf("%d, %d stored", got, inbox.count())
	}
}

func TestWebhookMethods(t *testing.T) {
	t.Parallel()
	url, _ := endpoint(t, web.Webhooks{Secret: exampleSecret, Store: (&kept{}).store})
	for _, method := range []string{"GET", "PUT", "DELETE", "HEAD"} {
		req, err := http.NewRequest(method, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != 405 {
			t.Errorf("%s: %s", method, resp.Status)
		}
	}
}

// TestWebhookSize: GitHub's largest payload passes, one byte more does not, with the length announced or not.
func TestWebhookSize(t *testing.T) {
	t.Parallel()
	const most = 25 << 20
	inbox := &kept{}
	url, _ := endpoint(t, web.Webhooks{Secret: exampleSecret, Store: inbox.store})
	body := bytes.Repeat([]byte{'x'}, most+1)
	for _, test := range []struct {
		name  string
		size  int
		plain bool
		want  int
	}{{"largest", most, true, 202}, {"largest, in pieces", most, false, 202}, {"too large, in pieces", most + 1, false, 413}} {
		var reader io.Reader = bytes.NewReader(body[:test.size])
		if !test.plain {
			reader = io.MultiReader(reader) // hides the length
		}
		if got, answer := post(t, url, reader, map[string]string{"X-Hub-Signature-256": sign(exampleSecret, body[:test.size])}); got != test.want {
			t.Errorf("%s: %d %s, want %d", test.name, got, answer, test.want)
		}
	}
	// Refused by its announced length alone: nothing of the body is asked for.
	w := httptest.NewRecorder()
	req := httptest.NewRequest(http.MethodPost, web.WebhookPath, untouchable{t})
	req.ContentLength = most + 1
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Hub-Signature-256", exampleSignature)
	web.Handler(web.Config{Webhooks: web.Webhooks{Secret: exampleSecret, Store: inbox.store}}).ServeHTTP(w, req)
	if w.Code != 413 || inbox.count() != 2 {
		t.Errorf("%d, %d stored", w.Code, inbox.count())
	}
}

// untouchable is a body that must not be read.
type untouchable struct{ t *testing.T }

func (u untouchable) Read([]byte) (int, error) {
	u.t.Error("the body was read")
	return 0, io.EOF
}

func migrated(t testing.TB) *pgxpool.Pool {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	database := embedpgtest.URL(t)
	if err := schema.Migrate(ctx, database); err != nil {
		t.Fatal(err)
	}
	p, err := schema.Connect(ctx, database)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// TestWebhookStored goes all the way from the simulator to the table.
func TestWebhookStored(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	p := migrated(t)
	url, log := endpoint(t, web.Webhooks{Secret: exampleSecret, Store: func(ctx context.Context, d syncer.Delivery) (bool, error) { return syncer.StoreDelivery(ctx, p, d) }})
	sim := githubsim.New(githubsim.Config{Seed: 1, Repos: 1, Issues: 4, BaseURL: "http://github.test"})
	t.Cleanup(sim.Close)
	sim.SetWebhook(url, exampleSecret)
	repo := sim.Repositories()[0].FullName
	if _, err := sim.CreateLabel(repo, "secret label text"); err != nil {
		t.Fatal(err)
	}
	arrived := func(status int) githubsim.Delivery {
		deadline := time.NewTimer(time.Minute)
		defer deadline.Stop()
		for {
			list := sim.Deliveries()
			if d := list[len(list)-1]; d.Status == status {
				return d
			}
			select {
			case <-deadline.C:
				t.Fatalf("%+v", list)
			case <-time.After(5 * time.Millisecond):
			}
		}
	}
	d := arrived(202)
	stored, err := syncer.GetDelivery(ctx, p, d.ID)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(stored.Body, d.Payload) || stored.Event != "label" || stored.Action != "created" || stored.RepositoryID != d.RepositoryID || stored.Status != "unprocessed" {
		t.Errorf("%+v", stored)
	}
	list := func() int {
		all, err := syncer.Deliveries(ctx, p, "", 100)
		if err != nil {
			t.Fatal(err)
		}
		return len(all)
	}
	if got, _ := post(t, url, bytes.NewReader(d.Payload), map[string]string{"X-GitHub-Delivery": d.ID, "X-Hub-Signature-256": sign(exampleSecret, d.Payload)}); got != 202 || list() != 1 {
		t.Errorf("the same again: %d, %d stored", got, list())
	}
	sim.SetWebhook(url, "wrong")
	if _, err := sim.CreateLabel(repo, "another"); err != nil {
		t.Fatal(err)
	}
	if arrived(401); list() != 1 {
		t.Errorf("%d stored", list())
	}
	p.Close() // the database is gone
	if got, answer := post(t, url, bytes.NewReader(d.Payload), map[string]string{"X-GitHub-Delivery": "gone", "X-Hub-Signature-256": sign(exampleSecret, d.Payload)}); got != 503 || strings.Contains(answer, "pool") {
		t.Errorf("without a database: %d %s", got, answer)
	}
	if said := log.String(); !strings.Contains(said, "could not be stored") || strings.Contains(said, "secret label text") || strings.Contains(said, exampleSecret) {
		t.Errorf("log: %s", said)
	}
}

// FuzzWebhook: whatever comes, only what is signed is stored, and byte for byte.
func FuzzWebhook(f *testing.F) {
	const jsonType, formType = "application/json", "application/x-www-form-urlencoded"
	for _, seed := range []struct{ contentType, event, guid, signature, body string }{
		{jsonType, "issues", "a-1", exampleSignature, exampleBody},
		{jsonType, "issues", "a-1", "", exampleBody},
		{jsonType, "", "", "sha256=", "{}"},
		{formType, "label", "a-1", "good", "payload=%7B%7D"},
		{formType, "label", "a-1", "good", "payload=%7B%7D&payload=x;%zz"},
		{formType, "label", "a-1", "good", ""},
		{"application/json; charset=\xff", "label", "a-1", "good", "\x00"},
		{jsonType, "is sues", "a\r\nb", "good", "{}"},
	} {
		f.Add(seed.contentType, seed.event, seed.guid, seed.signature, []byte(seed.body))
	}
	f.Fuzz(func(t *testing.T, contentType, event, guid, signature string, body []byte) {
		if signature == "good" { // so that what lies behind the signature is reached, too
			signature = sign(exampleSecret, body)
		}
		inbox := &kept{}
		req := httptest.NewRequest(http.MethodPost, web.WebhookPath, bytes.NewReader(body))
		req.Header = http.Header{"Content-Type": {contentType}, "X-Github-Event": {event}, "X-Github-Delivery": {guid}, "X-Hub-Signature-256": {signature}}
		w := httptest.NewRecorder()
		web.Handler(web.Config{Webhooks: web.Webhooks{Secret: exampleSecret, Store: inbox.store}}).ServeHTTP(w, req)
		good := strings.EqualFold(signature, sign(exampleSecret, body)) && strings.HasPrefix(signature, "sha256=")
		switch w.Code {
		case 202:
			if !good || len(inbox.list) != 1 || !bytes.Equal(inbox.list[0].Body, body) || inbox.list[0].GUID != guid || inbox.list[0].Event != event {
				t.Errorf("stored %+v", inbox.list)
			}
		case 400, 401, 415:
			if len(inbox.list) != 0 || w.Code == 400 && !good {
				t.Errorf("%d, stored %+v", w.Code, inbox.list)
			}
		default:
			t.Errorf("status %d", w.Code)
		}
	})
}
