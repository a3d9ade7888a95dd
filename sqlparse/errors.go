package sqlparse

import "errors"

// Errors of [Classifier.Parse] for texts that are not given to the parser. The text may still be valid SQL.
var (
	// ErrTooLong: the text is longer than [Config].MaxLength.
	ErrTooLong = errors.New("sqlparse: statement text is too long")
	// ErrTooComplex: the text has more tokens than [Config].MaxTokens or is nested more deeply than
	// [Config].MaxDepth. The parser recurses without a bound of its own, and running out of stack there would
	// end the process.
	ErrTooComplex = errors.New("sqlparse: statement has too many tokens or is nested too deeply")
	// ErrNUL: the text holds a NUL byte, at which the parser would silently stop reading.
	ErrNUL = errors.New("sqlparse: statement text contains a NUL byte")
)

// SyntaxError says that the text does not follow the grammar of PostgreSQL 17. A newer server may still
// accept it. To a client, the server's own report is worth more than this one: it names the position.
type SyntaxError struct {
	Message string // the grammar's message, such as `syntax error at or near "FORM"`
}

// Error returns the grammar's message.
func (e *SyntaxError) Error() string { return "sqlparse: " + e.Message }
