// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package plot

import (
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "draw the pictures in docs/images anew")

// The pictures that the page shows are those of its tables.
func TestPicturesOfThePage(t *testing.T) {
	t.Parallel()
	folder := filepath.Join("..", "..", "docs", "images")
	page := filepath.Join("..", "..", "docs", "performance.md")
	if *update {
		if err := Command([]string{page, folder}, io.Discard); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	drawn, err := pictures(string(text))
	if err != nil {
		t.Fatal(err)
	}
	for file, want := range drawn {
		got, err := os.ReadFile(filepath.Join(folder, file))
		if err != nil {
			t.Error(err)
			continue
		}
		if string(got) != want {
			t.Errorf("%s is not what the tables say; draw it anew with go run ./bench plot docs/performance.md docs/images", file)
		}
		if !strings.Contains(string(text), "](images/"+file+")") {
			t.Errorf("the page does not show %s", file)
		}
		wellFormed(t, file, want)
	}
}

func wellFormed(t *testing.T, file, picture string) {
	t.Helper()
	for d := xml.NewDecoder(strings.NewReader(picture)); ; {
		_, err := d.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Errorf("%s: %v", file, err)
			return
		}
	}
}

const sample = `# Page

| not | shown |
|---|---|
| a | 1 |

### Fault

Words | with bars.

| | lost | late | gap |
|---|--:|--:|--:|
| caddy-broker | 0 | 2 (1 to 3) | 17.6 ms (15.2 to 22.7), ×0.77 |
| caddy-broker, lb_policy first | 9 | 9 | 9 |
| peer <1> | 3 | 1 | 2148 ms, 4 of 5 rounds |
| absent | – | 1 | – |
`

func TestCollect(t *testing.T) {
	t.Parallel()
	list := tables(sample)
	for _, c := range []struct {
		name string
		from source
		want []bar
		says string
	}{
		{"one column", source{"p", "Fault", []string{"gap"}}, []bar{{"caddy-broker", 17.6, true}, {"peer <1>", 2148, false}}, ""},
		{"a sum", source{"p", "Fault", []string{"lost", "late"}}, []bar{{"caddy-broker", 2, true}, {"peer <1>", 4, false}}, ""},
		{"no table", source{"p", "Other", []string{"gap"}}, nil, `no table "Other"`},
		{"no column", source{"p", "Fault", []string{"gaps"}}, nil, `no column "gaps"`},
		{"no value", source{"p", "Page", []string{"not"}}, nil, "no value"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := figure{file: "f.svg", title: "F", unit: "ms", panels: []source{c.from}}
			panels, err := f.collect(list)
			if c.says != "" {
				if err == nil || !strings.Contains(err.Error(), c.says) {
					t.Errorf("%v, want %q", err, c.says)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got := panels[0].bars
			if len(got) != len(c.want) {
				t.Fatalf("%+v, want %+v", got, c.want)
			}
			for i := range got {
				if got[i] != c.want[i] {
					t.Errorf("%+v, want %+v", got[i], c.want[i])
				}
			}
			picture := draw(&f, panels)
			wellFormed(t, c.name, picture)
			for _, text := range []string{"peer &lt;1&gt;", `width="430.0"`, number(c.want[0].value, "ms")} {
				if !strings.Contains(picture, text) {
					t.Errorf("the picture lacks %s:\n%s", text, picture)
				}
			}
		})
	}
}

// A panel in which nothing was lost has bars of no length.
func TestNothingLost(t *testing.T) {
	t.Parallel()
	picture := draw(&figure{title: "F"}, []panel{{"p", []bar{{"a", 0, true}}}})
	if wellFormed(t, "f", picture); strings.Contains(picture, "NaN") || !strings.Contains(picture, `width="0.0"`) {
		t.Error(picture)
	}
}
