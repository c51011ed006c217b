// Renders templates with Go's own engine and sprig, as a judge of ours: one JSON object a line in, one a line out.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"text/template"

	"github.com/Masterminds/sprig/v3"
)

type question struct {
	Template string            `json:"template"`
	Data     map[string]string `json:"data"`
}

type answer struct {
	Output string `json:"output"`
	Error  string `json:"error,omitempty"`
}

func render(asked question) answer {
	parsed, err := template.New("t").Option("missingkey=error").Funcs(sprig.TxtFuncMap()).Parse(asked.Template)
	if err != nil {
		return answer{Error: err.Error()}
	}
	var output bytes.Buffer
	if err := parsed.Execute(&output, asked.Data); err != nil {
		return answer{Error: err.Error()}
	}
	return answer{Output: output.String()}
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	out := json.NewEncoder(os.Stdout)
	for lines.Scan() {
		var asked question
		if err := json.Unmarshal(lines.Bytes(), &asked); err != nil {
			os.Exit(1)
		}
		if err := out.Encode(render(asked)); err != nil {
			os.Exit(1)
		}
	}
}
