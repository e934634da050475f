{{- define "checkout.name" -}}
{{- .Chart.Name | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "checkout.fullname" -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* Never changes between releases: a Deployment's selector is immutable. */}}
{{- define "checkout.selectorLabels" -}}
app.kubernetes.io/name: {{ include "checkout.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "checkout.labels" -}}
{{ include "checkout.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/component: api
app.kubernetes.io/part-of: shop
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{/* Where this release comes from. Whoever is on call reads it off the object. */}}
{{- define "checkout.context" -}}
{{- if .Values.context.gitSha }}
org.opencontainers.image.revision: {{ .Values.context.gitSha | quote }}
{{- end }}
{{- if .Values.context.repository }}
org.opencontainers.image.source: {{ .Values.context.repository | quote }}
{{- end }}
{{- if .Values.context.buildNumber }}
cicd.pipeline.run.id: {{ .Values.context.buildNumber | quote }}
{{- end }}
{{- if .Values.context.buildUrl }}
cicd.pipeline.run.url.full: {{ .Values.context.buildUrl | quote }}
{{- end }}
{{- if .Values.image.digest }}
oci.manifest.digest: {{ .Values.image.digest | quote }}
{{- end }}
{{- if .Values.context.flags }}
shop.example/feature-flags: {{ .Values.context.flags | quote }}
{{- end }}
{{- if .Values.context.migrations }}
shop.example/migrations: {{ .Values.context.migrations | quote }}
{{- end }}
{{- end }}

{{- define "checkout.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}
{{- end }}
