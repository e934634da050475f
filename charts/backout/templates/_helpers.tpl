{{/* Labels of every object. */}}
{{- define "backout.labels" -}}
app.kubernetes.io/name: backout
app.kubernetes.io/part-of: backout
{{- end }}

{{/* Labels that select the controller's pods. */}}
{{- define "backout.selector" -}}
app.kubernetes.io/component: controller
app.kubernetes.io/name: backout
{{- end }}

{{/* The controller's image: a digest wins over a tag. */}}
{{- define "backout.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end }}

{{/* The watched namespaces as a JSON list, each once and sorted; empty when all are. */}}
{{- define "backout.watched" -}}
{{- if .Values.clusterWide -}}
[]
{{- else -}}
{{ .Values.watch | default (list .Release.Namespace) | uniq | sortAlpha | toJson }}
{{- end -}}
{{- end }}

{{/* A role binding's end: whom it is given to, and what. Takes kind, name and namespace. */}}
{{- define "backout.bound" -}}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: {{ .kind }}
  name: {{ .name }}
subjects:
  - kind: ServiceAccount
    name: backout
    namespace: {{ .namespace }}
{{- end }}
