package schema

type rename struct {
	column        string
	array         string
	list          string
	perRepository bool
}
