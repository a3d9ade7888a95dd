package githubsim

import "net/http"

func (c *call) getMeta() error {
	e := c.json(http.StatusOK)
	e.open('{')
	e.boolean("verifiable_password_authentication", false)
	for _, k := range []string{"hooks", "web", "api", "git"} {
		e.array(k)
		e.sep()
		e.b = appendString(e.b, "127.0.0.0/8")
		e.close(']')
	}
	e.close('}')
	return nil
}
