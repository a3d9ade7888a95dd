package sqlparse

// TxKind tells by its first words whether a statement controls a transaction. Of several statements in one text it looks
// at the first only. It returns Other for everything else, never allocates, and does not check the rest of
// the statement.
func TxKind(sql []byte) Kind {
	switch k := FirstKind(sql); k {
	case Begin, Commit, Rollback, Savepoint, RollbackTo, Release, PrepareTx, CommitPrepared, RollbackPrepared:
		return k
	}
	return Other
}

// FirstKind tells by its first words what kind the first statement of a text is. WITH counts as Other: what it
// leads to is known only to the parser. It never allocates.
func FirstKind(sql []byte) Kind {
	l := lexer[[]byte]{s: sql}
	word := l.firstWord()
	switch {
	case is(word, "select"), is(word, "values"), is(word, "table"):
		return Select
	case is(word, "insert"):
		return Insert
	case is(word, "update"):
		return Update
	case is(word, "delete"):
		return Delete
	case is(word, "merge"):
		return Merge
	case is(word, "copy"):
		return Copy
	case is(word, "begin"), is(word, "start"):
		return Begin
	case is(word, "commit"), is(word, "end"):
		if is(l.word1(), "prepared") {
			return CommitPrepared
		}
		return Commit
	case is(word, "rollback"), is(word, "abort"):
		return l.rollback()
	case is(word, "savepoint"):
		return Savepoint
	case is(word, "release"):
		return Release
	case is(word, "prepare"):
		return l.prepare()
	case is(word, "execute"):
		return Execute
	case is(word, "deallocate"):
		return Deallocate
	case is(word, "discard"):
		return Discard
	case is(word, "explain"):
		return Explain
	case is(word, "set"), is(word, "reset"):
		return Set
	}
	return Other
}

// firstWord skips comments, empty statements and opening parentheses.
func (l *lexer[T]) firstWord() T {
	for {
		kind, start, end := l.next()
		switch {
		case kind == tokWord:
			return l.s[start:end]
		case kind == tokComment, kind == tokPunct && (l.s[start] == ';' || l.s[start] == '('):
		default:
			return l.s[:0]
		}
	}
}

// word1 returns the next token if it is a word, else nothing.
func (l *lexer[T]) word1() T {
	for {
		kind, start, end := l.next()
		switch kind {
		case tokWord:
			return l.s[start:end]
		case tokComment:
		default:
			return l.s[:0]
		}
	}
}

func (l *lexer[T]) rollback() Kind {
	word := l.word1()
	if is(word, "work") || is(word, "transaction") {
		word = l.word1()
	}
	switch {
	case is(word, "to"):
		return RollbackTo
	case is(word, "prepared"):
		return RollbackPrepared
	}
	return Rollback
}

// prepare tells PREPARE TRANSACTION 'id' from a prepared statement that is called "transaction".
func (l *lexer[T]) prepare() Kind {
	if !is(l.word1(), "transaction") {
		return Prepare
	}
	for {
		switch kind, _, _ := l.next(); kind {
		case tokComment:
		case tokString, tokDollar, tokRigid:
			return PrepareTx
		default:
			return Prepare
		}
	}
}
