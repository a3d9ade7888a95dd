// Package ghapi is the only part of pghub that talks HTTP to GitHub. It knows
// how GitHub wants to be asked (headers, paging, pacing, redirects) and turns
// every way a request can end into one of a few error classes, so that callers
// decide by class and never by status code or message text.
//
// The distinction that matters most is what happened to a mutation whose
// request failed: ClassUnreachable means that GitHub certainly did not act on
// it, ClassUnknown means that it may have. A mutation is never sent again on
// its own once GitHub may have seen it.
package ghapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/go-github/v92/github"
)

// DefaultBaseURL is the REST address of github.com.
const DefaultBaseURL = "https://api.github.com/"

// DefaultMaxWait is how long a request waits for a limit when Config.MaxWait
// is zero.
const DefaultMaxWait = 30 * time.Second

// DefaultRequestTimeout is GitHub's own bound for one request: it cuts what
// takes longer.
// https://docs.github.com/en/rest/using-the-rest-api/troubleshooting-the-rest-api#timeouts
const DefaultRequestTimeout = 10 * time.Second

// DefaultPointsPerMinute is GitHub's secondary limit for REST: a read costs
// one point, a mutation five.
// https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api#about-secondary-rate-limits
const DefaultPointsPerMinute = 900

// Config says how to reach GitHub. Only the zero values named below are
// replaced by defaults.
type Config struct {
	// BaseURL is the REST address, with or without a trailing slash; for
	// Enterprise Server https://HOST/api/v3/. Empty: DefaultBaseURL. It must
	// not hold a user name or password.
	BaseURL string
	// Token is a personal access token or an installation token. Empty:
	// requests go out without authentication.
	Token string
	// Transport carries the requests. Nil: a transport of the client's own.
	// A transport that is not based on http.Transport cannot tell how far a
	// failed mutation got; such failures are then ClassUnknown.
	Transport http.RoundTripper
	// WriteInterval is the time between the starts of two mutations. Zero: no
	// pause. GitHub advises one second.
	WriteInterval time.Duration
	// MaxWait bounds how long one request waits for a rate limit to pass,
	// reads and writes alike. A limit that lasts longer is reported at once
	// as ClassLimited with RetryAt. Zero: DefaultMaxWait. Negative: no wait.
	MaxWait time.Duration
	// ReadShare is the part of the hourly limit that reads may use up; the
	// rest is kept for requests of Priority Write. Zero: 0.8.
	ReadShare float64
	// PointsPerMinute spreads requests so that the secondary limit is not
	// met in the first place. Zero: DefaultPointsPerMinute for github.com and
	// *.ghe.com, no spreading elsewhere, because Enterprise Server has no
	// secondary limits unless its administrator wants them. Negative: none.
	PointsPerMinute int
	// MaxConcurrentReads bounds the requests of Priority Read in flight.
	// Zero: 8. Requests of Priority Write never wait for reads.
	MaxConcurrentReads int
	// ReadRetries is how often a read is tried again after 500, 502, 503,
	// 504 or a failed connection. Zero: 3. Negative: never.
	ReadRetries int
	// RetryDelay is the wait before the first of those retries; it doubles
	// each time and is spread by half of itself. Zero: 250 ms.
	RetryDelay time.Duration
	// RequestTimeout bounds one HTTP exchange, body included. Zero:
	// DefaultRequestTimeout.
	RequestTimeout time.Duration
	// MaxBody is the most bytes of one answer that are read. Zero: 64 MiB,
	// which holds a page of 100 issues with the longest bodies GitHub allows.
	MaxBody int64
	// UserAgent is sent with each request; GitHub refuses requests without
	// one. Empty: "pghub".
	UserAgent string
	// Logger receives one debug record per request and warnings about
	// limits. Nil: slog.Default().
	Logger *slog.Logger
}

// Client sends requests to one GitHub with one credential. It is safe for
// concurrent use. It starts no goroutines and needs no Close.
type Client struct {
	cfg      Config
	base     *url.URL
	builder  *github.Client
	http     *http.Client
	stdTrans bool
	log      *slog.Logger
	requests atomic.Int64
	limits   limits
	pace     pace
}

// New checks cfg and returns a client. It sends nothing.
func New(cfg Config) (*Client, error) {
	setDefaults(&cfg)
	base, err := parseBase(cfg.BaseURL)
	if err != nil {
		return nil, err
	}
	if host := base.Hostname(); cfg.PointsPerMinute == 0 && (host == "api.github.com" || strings.HasSuffix(host, ".ghe.com")) {
		cfg.PointsPerMinute = DefaultPointsPerMinute
	}
	cfg.Token = strings.TrimSpace(cfg.Token)
	if strings.ContainsFunc(cfg.Token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, errors.New("the GitHub token holds a space, a line break or a character that is not ASCII")
	}
	if cfg.ReadShare < 0 || cfg.ReadShare > 1 {
		return nil, fmt.Errorf("the share of the GitHub limit for reads is %v; it must lie between 0 and 1", cfg.ReadShare)
	}
	if cfg.Token != "" && base.Scheme == "http" && !isLoopback(base.Hostname()) {
		cfg.Logger.Warn("the GitHub token travels unencrypted", "github_url", base.String())
	}
	transport := cfg.Transport
	if transport == nil {
		transport = defaultTransport()
	}
	address, agent := base.String(), cfg.UserAgent
	builder, err := github.NewClient(github.WithURLs(&address, nil), github.WithUserAgent(agent))
	if err != nil {
		return nil, fmt.Errorf("preparing GitHub requests for %s: %w", base, err)
	}
	_, std := transport.(*http.Transport)
	c := &Client{
		cfg:      cfg,
		base:     base,
		builder:  builder,
		stdTrans: std,
		log:      cfg.Logger,
		// Redirects are followed in redirect.go: the standard client turns a
		// PATCH answered by 301 into a GET and reports success.
		http: &http.Client{
			Transport:     transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	c.limits.readShare = cfg.ReadShare
	c.pace.init(cfg)
	return c, nil
}

// BaseURL is the REST address that the client asks, with a trailing slash.
func (c *Client) BaseURL() string { return c.base.String() }

// Requests counts the HTTP requests sent so far, retries and followed
// redirects included.
func (c *Client) Requests() int64 { return c.requests.Load() }

func setDefaults(cfg *Config) {
	if cfg.BaseURL == "" {
		cfg.BaseURL = DefaultBaseURL
	}
	if cfg.MaxWait == 0 {
		cfg.MaxWait = DefaultMaxWait
	}
	if cfg.ReadShare == 0 {
		cfg.ReadShare = 0.8
	}
	if cfg.MaxConcurrentReads <= 0 {
		cfg.MaxConcurrentReads = 8
	}
	if cfg.ReadRetries == 0 {
		cfg.ReadRetries = 3
	}
	if cfg.RetryDelay <= 0 {
		cfg.RetryDelay = 250 * time.Millisecond
	}
	if cfg.RequestTimeout <= 0 {
		cfg.RequestTimeout = DefaultRequestTimeout
	}
	if cfg.MaxBody <= 0 {
		cfg.MaxBody = 64 << 20
	}
	if cfg.UserAgent == "" {
		cfg.UserAgent = "pghub"
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
}

func parseBase(address string) (*url.URL, error) {
	base, err := url.Parse(address)
	if err != nil {
		// The parser's error repeats the address, which may hold a password.
		return nil, errors.New("the GitHub URL cannot be parsed")
	}
	if base.User != nil {
		return nil, errors.New("the GitHub URL must not hold a user name or password; give the token separately")
	}
	if base.Scheme != "https" && base.Scheme != "http" || base.Host == "" {
		return nil, fmt.Errorf("the GitHub URL %q is not an http or https address", address)
	}
	if base.RawQuery != "" || base.Fragment != "" {
		return nil, fmt.Errorf("the GitHub URL %q must end with a path", address)
	}
	base.Path = strings.TrimRight(base.Path, "/") + "/"
	base.RawPath = ""
	return base, nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// defaultTransport drops idle connections well before GitHub does, so that a
// mutation rarely meets a connection that is about to be closed.
func defaultTransport() *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.IdleConnTimeout = 30 * time.Second
	t.MaxIdleConnsPerHost = 16
	return t
}

// contextError reports a context that ended before anything was sent.
func contextError(ctx context.Context, method, path, doing string) *Error {
	return &Error{Class: ClassCanceled, Method: method, Path: path, Message: "canceled while " + doing, Err: context.Cause(ctx)}
}
