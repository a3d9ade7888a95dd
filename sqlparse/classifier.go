package sqlparse

import (
	"errors"
	"sync/atomic"
)

// Config bounds what a [Classifier] spends. Zero values take the defaults.
type Config struct {
	// MaxCacheBytes bounds the cached parse results, texts included (default 8 MiB; negative: no cache).
	MaxCacheBytes int
	// MaxLength bounds a text in bytes (default 128 MiB). Long literals cost little: they are left out before parsing.
	MaxLength int
	// MaxTokens bounds the tokens of a text (default 200,000: some ten thousand rows of VALUES).
	MaxTokens int
	// MaxDepth bounds the nesting of a text, counted from above as operators and keywords in one stretch between
	// commas, AND and OR, summed over the open brackets (default 500). Threads with 512 KiB of stack (macOS) survive 700,
	// glibc's 8 MiB some fifteen times as much; musl's 128 KiB only 150.
	MaxDepth int
}

const (
	defaultCacheBytes = 8 << 20
	defaultMaxLength  = 128 << 20
	defaultMaxTokens  = 200_000
	defaultMaxDepth   = 500
)

// Classifier answers for one set of watched names. It is safe for concurrent use; one serves all sessions.
type Classifier struct {
	cfg   Config
	watch atomic.Pointer[watch]
	// One cache for each meaning of a backslash in plain strings: on as in standard_conforming_strings.
	on, off *cache
}

// New returns a Classifier that watches no name yet, so that MayWrite is false for every text.
func New(cfg Config) *Classifier {
	def := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	def(&cfg.MaxCacheBytes, defaultCacheBytes)
	def(&cfg.MaxLength, defaultMaxLength)
	def(&cfg.MaxTokens, defaultMaxTokens)
	def(&cfg.MaxDepth, defaultMaxDepth)
	c := &Classifier{cfg: cfg, on: newCache(cfg.MaxCacheBytes), off: newCache(cfg.MaxCacheBytes / 4)}
	c.watch.Store(newWatch(nil))
	return c
}

// SetWatched replaces the watched names by bare relation names as Postgres stores them (issue, issue_label, a
// user's view), each meant in any schema. It may be called at any time; cached results follow.
func (c *Classifier) SetWatched(names []string) {
	watched := make([]Name, len(names))
	for i, n := range names {
		watched[i].Name = n
	}
	c.SetWatchedNames(watched)
}

// SetWatchedNames is SetWatched for names of which the schema is known: a statement that names another schema is then no
// write. An empty schema means any.
func (c *Classifier) SetWatchedNames(names []Name) {
	c.watch.Store(newWatch(append([]Name(nil), names...)))
}

// MayWrite reports whether sql has both a writing keyword and the name of a watched table, anywhere, also in
// quotes or comments. When it is false, Parse would find no write either, unless the name is spelled in a way that only
// the server understands. It does not allocate.
func (c *Classifier) MayWrite(sql []byte) bool {
	return c.Scan(sql)&HintWrite != 0
}

// Scan is MayWrite that also tells what else the words of the text hint at.
func (c *Classifier) Scan(sql []byte) Hint {
	return c.watch.Load().scan(sql)
}

// Parse returns the statements of a text, for a session with standard_conforming_strings on (the default of
// Postgres). It fails with ErrTooLong, ErrTooComplex or ErrNUL (the text was not parsed), or a *SyntaxError.
func (c *Classifier) Parse(sql string) (Script, error) {
	return c.script(c.on, sql, false)
}

// ParseBackslash is Parse for a session with standard_conforming_strings off, where a backslash escapes in plain
// strings too.
func (c *Classifier) ParseBackslash(sql string) (Script, error) {
	return c.script(c.off, sql, true)
}

// ParseBytes is Parse for text in a buffer that will be reused: sql is copied only when it is not cached.
func (c *Classifier) ParseBytes(sql []byte) (Script, error) {
	if e, ok := c.on.getBytes(sql); ok {
		return c.current(c.on, e)
	}
	return c.Parse(string(sql))
}

func (c *Classifier) script(cache *cache, sql string, backslash bool) (Script, error) {
	if e, ok := cache.get(sql); ok {
		return c.current(cache, e)
	}
	statements, err := parse(sql, c.cfg, backslash)
	w := c.watch.Load()
	e := entry{key: sql, watch: w, script: Script{Statements: w.mark(statements)}, err: err}
	if err == nil || lasting(err) {
		cache.put(e)
	}
	return e.script, e.err
}

// current brings a cached result up to date with the names that are watched now.
func (c *Classifier) current(cache *cache, e entry) (Script, error) {
	if w := c.watch.Load(); e.watch != w && e.err == nil {
		e.watch = w
		e.script.Statements = w.mark(append([]Statement(nil), e.script.Statements...))
		cache.put(e)
	}
	return e.script, e.err
}

// lasting reports whether the same text will meet the same error again.
func lasting(err error) bool {
	var syntax *SyntaxError
	return errors.As(err, &syntax) || errors.Is(err, ErrTooComplex) || errors.Is(err, ErrNUL)
}

// mark fills in Writes in place.
func (w *watch) mark(statements []Statement) []Statement {
	for i := range statements {
		st := &statements[i]
		st.Writes = false
		for _, t := range st.Targets {
			if w.has(t) {
				st.Writes = true
				break
			}
		}
	}
	return statements
}
