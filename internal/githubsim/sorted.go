package githubsim

import (
	"cmp"
	"slices"
)

// rank is a row's place in a sorted list: the sort key, then the id, which makes
// it unique.
type rank struct{ key, id int64 }

func (a rank) compare(b rank) int {
	if c := cmp.Compare(a.key, b.key); c != 0 {
		return c
	}
	return cmp.Compare(a.id, b.id)
}

// sortedList keeps rows in ascending order of rank. A row must be removed before
// its rank changes and inserted after.
type sortedList[T comparable] struct {
	rows []T
	rank func(T) rank
}

// find returns the position of the first row whose rank is not below r.
func (l *sortedList[T]) find(r rank) int {
	i, _ := slices.BinarySearchFunc(l.rows, r, func(row T, r rank) int { return l.rank(row).compare(r) })
	return i
}

func (l *sortedList[T]) insert(row T) {
	r := l.rank(row)
	if n := len(l.rows); n == 0 || l.rank(l.rows[n-1]).compare(r) < 0 {
		l.rows = append(l.rows, row)
		return
	}
	l.rows = slices.Insert(l.rows, l.find(r), row)
}

func (l *sortedList[T]) remove(row T) {
	if i := l.find(l.rank(row)); i < len(l.rows) && l.rows[i] == row {
		l.rows = slices.Delete(l.rows, i, i+1)
	}
}

// load replaces the rows by an unsorted set, for seeding.
func (l *sortedList[T]) load(rows []T) {
	l.rows = slices.Clone(rows)
	slices.SortFunc(l.rows, func(a, b T) int { return l.rank(a).compare(l.rank(b)) })
}
