package sqlparse

import (
	"container/list"
	"sync"
)

// cache keeps the latest parse results. Its bound is in bytes, not entries: generated SQL never repeats, and a few
// long scripts weigh as much as thousands of statements.
type cache struct {
	mu      sync.Mutex
	limit   int
	size    int
	entries map[string]*list.Element // by text; the element's value is an *entry
	recent  list.List                // most recently used first
}

type entry struct {
	key    string
	watch  *watch // the names for which script.Writes was computed
	script Script
	err    error
	size   int
}

// What an entry costs beside its text and statements, about: list and map nodes, headers.
const (
	entryOverhead     = 320
	statementOverhead = 176
)

func newCache(limit int) *cache {
	return &cache{limit: limit, entries: map[string]*list.Element{}}
}

// get returns a copy of the entry for the text.
func (c *cache) get(key string) (entry, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.touch(c.entries[key])
}

// getBytes is get for a text that is not a string yet, which it does not copy.
func (c *cache) getBytes(key []byte) (entry, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.touch(c.entries[string(key)])
}

func (c *cache) touch(el *list.Element) (entry, bool) {
	if el == nil {
		return entry{}, false
	}
	c.recent.MoveToFront(el)
	return *el.Value.(*entry), true
}

// put stores an entry, or replaces the one of the same text. One that would fill more than an eighth of the cache is
// not kept.
func (c *cache) put(e entry) {
	e.size = e.cost()
	if e.size > c.limit/8 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if el := c.entries[e.key]; el != nil {
		c.remove(el)
	}
	for c.size+e.size > c.limit {
		c.remove(c.recent.Back())
	}
	c.entries[e.key] = c.recent.PushFront(&e)
	c.size += e.size
}

func (c *cache) remove(el *list.Element) {
	e := c.recent.Remove(el).(*entry)
	delete(c.entries, e.key)
	c.size -= e.size
}

func (e *entry) cost() int {
	n := entryOverhead + len(e.key)
	if e.err != nil {
		n += len(e.err.Error())
	}
	for _, st := range e.script.Statements {
		n += statementOverhead + len(st.PreparedName) + len(st.SavepointName)
		for _, t := range st.Targets {
			n += 32 + len(t.Schema) + len(t.Name)
		}
	}
	return n
}
