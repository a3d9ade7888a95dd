package sqlparse

// Hint is what a scan of the bytes finds. Each set bit means "may", each clear bit means "does not",
// except for the spellings that the trigger catches (see the package comment).
type Hint uint8

const (
	// HintWrite: a writing keyword and the name of a watched table both occur.
	HintWrite Hint = 1 << iota
	// HintExecute: the word EXECUTE occurs. A session that prepared a write by SQL PREPARE has to look closer.
	HintExecute
)

// watch holds the words to look for, by length and first letter, so that most words of a text cost one
// table look-up.
type watch struct {
	names []Name
	// lengths[c] has bit n set when a word of n bytes (31: of 31 or more) that begins with c is sought.
	lengths [256]uint32
	// words are the sought name words in lower case, by their length (31: 31 or more).
	words [32][]string
	// always is set when some name holds no word at all ("!"), or is so long that a longer spelling would be cut to
	// it: then every text counts as naming it.
	always bool
}

const longWord = 31

func newWatch(names []Name) *watch {
	w := &watch{names: names}
	for _, k := range []string{"insert", "update", "delete", "merge", "copy", "execute"} {
		w.seek(k)
	}
	w.lengths['u'] |= 1 << 1 // U&"...": may spell any name
	w.lengths['U'] |= 1 << 1
	for _, n := range names {
		word := firstWord(n.Name)
		if word == "" || len(n.Name) >= 63 {
			w.always = true
			continue
		}
		w.seek(word)
		i := min(len(word), longWord)
		w.words[i] = append(w.words[i], word)
	}
	return w
}

func (w *watch) seek(word string) {
	bit := uint32(1) << min(len(word), longWord)
	w.lengths[word[0]] |= bit
	if c := word[0]; 'a' <= c && c <= 'z' {
		w.lengths[c-'a'+'A'] |= bit
	}
}

// firstWord returns the first run of identifier bytes of a name in lower case: what has to occur in every plain
// spelling of it, quoted or not.
func firstWord(name string) string {
	for i := 0; i < len(name); i++ {
		if class[name[i]]&identStart == 0 {
			continue
		}
		j := i
		for j < len(name) && class[name[j]]&identPart != 0 {
			j++
		}
		word := []byte(name[i:j])
		for k := range word {
			word[k] = lower[word[k]]
		}
		return string(word)
	}
	return ""
}

// scan looks at every word of sql, also inside quotes and comments.
func (w *watch) scan(sql []byte) Hint {
	var hint Hint
	keyword, name := false, w.always
	for i := 0; i < len(sql); {
		c := sql[i]
		if class[c]&identStart == 0 {
			i++
			continue
		}
		start := i
		for i++; i < len(sql) && class[sql[i]]&identPart != 0; i++ {
		}
		if w.lengths[c]>>min(i-start, longWord)&1 == 0 {
			continue
		}
		word := sql[start:i]
		switch {
		case is(word, "insert"), is(word, "update"), is(word, "delete"), is(word, "merge"), is(word, "copy"):
			keyword = true
		case is(word, "execute"):
			hint |= HintExecute
		}
		name = name || w.matches(word) || len(word) == 1 && escapedName(sql[i:])
		if keyword && name && hint&HintExecute != 0 {
			break
		}
	}
	if keyword && name {
		hint |= HintWrite
	}
	return hint
}

func (w *watch) matches(word []byte) bool {
	for _, sought := range w.words[min(len(word), longWord)] {
		if is(word, sought) {
			return true
		}
	}
	return false
}

// escapedName reports whether what follows a lone U makes it the start of U&"...".
func escapedName(rest []byte) bool {
	return len(rest) > 1 && rest[0] == '&' && rest[1] == '"'
}

// has reports whether a statement's target is watched. A name without schema, on either side, matches in any schema.
func (w *watch) has(target Name) bool {
	for _, n := range w.names {
		if n.Name == target.Name && (n.Schema == "" || target.Schema == "" || n.Schema == target.Schema) {
			return true
		}
	}
	return false
}
