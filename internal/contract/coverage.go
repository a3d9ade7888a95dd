package contract

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"sync"
)

// met counts what the tests of this process have shown to the descriptions.
var met = struct {
	mu         sync.Mutex
	exchanges  int
	operations map[string]map[string]int // by operation and status
	events     map[string]int
	exceptions map[string]int
}{operations: map[string]map[string]int{}, events: map[string]int{}, exceptions: map[string]int{}}

func count(operation string, a *Answer) {
	if operation == "" {
		return
	}
	status := "no answer"
	if a != nil {
		status = strconv.Itoa(a.Status)
	}
	met.mu.Lock()
	defer met.mu.Unlock()
	met.exchanges++
	if met.operations[operation] == nil {
		met.operations[operation] = map[string]int{}
	}
	met.operations[operation][status]++
}

// Coverage is what the tests of a process have shown to the descriptions.
type Coverage struct {
	Exchanges  int
	Operations []Covered // sorted by name
	Events     []Covered
	Exceptions []string // names of exceptions that were needed
}

// Covered is one operation with the statuses it answered, or one event.
type Covered struct {
	Name     string
	Statuses []string
	Count    int
}

// Met returns the coverage so far.
func Met() Coverage {
	met.mu.Lock()
	defer met.mu.Unlock()
	c := Coverage{Exchanges: met.exchanges, Exceptions: slices.Sorted(maps.Keys(met.exceptions))}
	for name, statuses := range met.operations {
		o := Covered{Name: name, Statuses: slices.Sorted(maps.Keys(statuses))}
		for _, n := range statuses {
			o.Count += n
		}
		c.Operations = append(c.Operations, o)
	}
	for name, n := range met.events {
		c.Events = append(c.Events, Covered{Name: name, Count: n})
	}
	byName := func(a, b Covered) int { return cmp.Compare(a.Name, b.Name) }
	slices.SortFunc(c.Operations, byName)
	slices.SortFunc(c.Events, byName)
	return c
}
