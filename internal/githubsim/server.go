package githubsim

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Config says what a simulated GitHub holds and how it behaves. The zero value
// is an empty GitHub with one user and GitHub's primary limit.
type Config struct {
	// Seed chooses the generated data. Equal seeds, Repos and Issues give equal
	// data, ids and dates included.
	Seed int64
	// Repos is how many repositories are generated.
	Repos int
	// Issues is how many issues are generated, spread over the repositories;
	// pull requests (one for about seven issues) and comments (about two for
	// each) come on top.
	Issues int
	// Token is the token of the first user, who administers every generated
	// repository. Empty: one is made from Seed.
	Token string
	// BaseURL is what URLs in answers start with, without a trailing slash.
	// Empty: the address given to Serve, else the Host of the first request.
	BaseURL string
	// WebhookURL and WebhookSecret are where events are posted and the key
	// that signs them. Empty: no webhooks; see Server.SetWebhook.
	WebhookURL, WebhookSecret string
	// PrimaryLimit is how many REST requests a user has per hour. 0: 5,000.
	PrimaryLimit int
	// Secondary holds GitHub's secondary limits. The zero value has none, so
	// that tests may write quickly; see GitHubSecondaryLimits.
	Secondary SecondaryLimits
	// ReadLag is for how long reads do not see a write, as happens at GitHub: a
	// single GET shows an issue as it was before, or 404, and lists leave it out
	// where it moved. Answers to writes are always fresh. In whole seconds.
	ReadLag time.Duration
	// Now is the clock. Nil: time.Now.
	Now func() time.Time
	// Logger gets a debug line for each request. Nil: nothing is logged.
	Logger *slog.Logger
}

// Server is a simulated GitHub. It is an http.Handler; its other methods look
// into it or act in it as somebody at the web interface would. All methods may
// be called at any time from any goroutine. Close ends its goroutine.
type Server struct {
	cfg    Config
	store  *store
	admin  *user
	token  string
	routes []route
	limits *limiter
	log    *requestLog
	faults *faultScript
	hooks  *hookSender
	base   atomic.Pointer[string]
	ids    atomic.Uint64
	closed chan struct{}
	once   sync.Once
}

// New makes a simulated GitHub and generates its data. It listens nowhere yet:
// use Serve, or hand it to an http.Server.
func New(cfg Config) *Server {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.PrimaryLimit == 0 {
		cfg.PrimaryLimit = defaultPrimaryLimit
	}
	if cfg.Token == "" {
		cfg.Token = tokenFromSeed(cfg.Seed, "octavia")
	}
	s := &Server{
		cfg:    cfg,
		store:  newStore(),
		token:  cfg.Token,
		routes: apiRoutes(),
		limits: newLimiter(cfg.PrimaryLimit, cfg.Secondary),
		log:    newRequestLog(),
		faults: &faultScript{},
		closed: make(chan struct{}),
	}
	s.store.lag = int64(cfg.ReadLag / time.Second)
	s.hooks = newHookSender(cfg.Logger)
	s.hooks.set(cfg.WebhookURL, cfg.WebhookSecret)
	if cfg.BaseURL != "" {
		base := strings.TrimRight(cfg.BaseURL, "/")
		s.base.Store(&base)
	}
	s.seed()
	return s
}

// Token returns the token of the user who administers every generated repository.
func (s *Server) Token() string { return s.token }

// Login returns the login of that user.
func (s *Server) Login() string { return s.admin.login }

// BaseURL returns what API URLs start with, without a trailing slash; empty
// while that is not known yet.
func (s *Server) BaseURL() string {
	if p := s.base.Load(); p != nil {
		return *p
	}
	return ""
}

// Serve answers requests on l until ctx ends, then waits for the requests under
// way, closes l and the server, and returns nil.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	if a, ok := l.Addr().(*net.TCPAddr); ok && !a.IP.IsUnspecified() {
		s.baseFrom("http://" + a.String())
	}
	hs := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: 10 * time.Second,
		BaseContext:       func(net.Listener) context.Context { return ctx },
	}
	failed := make(chan error, 1)
	go func() { failed <- hs.Serve(l) }()
	var err error
	select {
	case err = <-failed:
	case <-ctx.Done():
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if hs.Shutdown(stop) != nil {
			_ = hs.Close() // requests held up by a fault's delay
		}
		err = <-failed
	}
	s.Close()
	if err != nil && !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving the simulated GitHub on %s: %w", l.Addr(), err)
	}
	return nil
}

// Close stops the webhook sender and ends delays of faults. Requests are still
// answered, but events go nowhere.
func (s *Server) Close() {
	s.once.Do(func() { close(s.closed) })
	s.hooks.close()
}

func (s *Server) baseFrom(url string) { s.base.CompareAndSwap(nil, &url) }

func (s *Server) now() int64 { return s.cfg.Now().Unix() }

// requestID makes an id in GitHub's form.
func (s *Server) requestID() string {
	n := s.ids.Add(1)
	return fmt.Sprintf("%04X:%06X:%07X:%07X:%08X", 0xC000+n%0x3fff, 0x1E0000+n*7, 0x3C00000+n*31, 0x3D00000+n*37, 0x66A00000+n)
}

// actor makes a call that is not a request: somebody at the web interface, the
// first user for an empty login.
func (s *Server) actor(login string) (*call, error) {
	u := s.admin
	if login != "" {
		if u = s.store.user(login); u == nil {
			return nil, fmt.Errorf("githubsim has no user %s", login)
		}
	}
	return s.webCall(u), nil
}

// webCall is actor for a user at hand.
func (s *Server) webCall(u *user) *call {
	base := s.BaseURL()
	if base == "" {
		base = "http://github.invalid" // nobody has connected yet
	}
	return &call{s: s, st: s.store, user: u, now: s.now(), api: base, web: base, header: http.Header{}}
}
