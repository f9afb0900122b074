// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package tracker

// failingFrom is how many answers in a row have to be 5xx to be told.
const failingFrom = 10

// Answers notices a member that answers with 5xx and with nothing else. An answer is no
// failure: an operator has to hear of it another way.
type Answers struct {
	good, bad uint64 // seen; bad at the last time when something else came
	Failing   bool
}

// Look is Note with what is counted, by a status of each class.
func (a *Answers) Look(counted func(status int) uint64) (inRow uint64, news bool) {
	return a.Note(counted(100)+counted(200)+counted(300)+counted(400), counted(500))
}

// Note takes how many answers have been good and bad. It reports whether Failing has
// changed, and how many bad answers came in a row.
func (a *Answers) Note(good, bad uint64) (inRow uint64, news bool) {
	was := a.Failing
	switch {
	case good != a.good:
		a.good, a.bad, a.Failing = good, bad, false
	case bad-a.bad >= failingFrom:
		a.Failing = true
	}
	return bad - a.bad, a.Failing != was
}
