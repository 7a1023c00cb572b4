{{- define "castellan.name" -}}
{{ .Release.Name | trunc 50 | trimSuffix "-" }}
{{- end }}

{{- define "castellan.selector" -}}
app.kubernetes.io/name: castellan
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "castellan.labels" -}}
{{ include "castellan.selector" . }}
app.kubernetes.io/version: {{ .Values.image.tag | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{/* The pods of both modes. */}}
{{- define "castellan.pod" -}}
metadata:
  labels:
    {{- include "castellan.labels" . | nindent 4 }}
  annotations:
    # A changed config starts the pods anew.
    checksum/config: {{ .Values.config | sha256sum }}
    {{- with .Values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  # Longer than the drain, and than the seconds before it in which the service forgets the pod.
  terminationGracePeriodSeconds: {{ add .Values.drainSeconds 20 }}
  automountServiceAccountToken: false
  {{- with .Values.image.pullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 1000
    runAsGroup: 1000
    fsGroup: 1000
    fsGroupChangePolicy: OnRootMismatch
    seccompProfile:
      type: RuntimeDefault
  containers:
    - name: castellan
      image: {{ printf "%s:%s" (required "image.repository is the image of your application" .Values.image.repository) .Values.image.tag | quote }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      args:
        - castellan
        - serve
        - --config
        - /app/castellan.config.ts
        - --listen
        - 0.0.0.0:8080
        - --metrics
        - 0.0.0.0:9464
        - --drain-timeout
        - {{ printf "%vs" .Values.drainSeconds }}
      ports:
        - name: http
          containerPort: 8080
        - name: metrics
          containerPort: 9464
        {{- if eq .Values.mode "cluster" }}
        - name: nodes
          containerPort: 7700
        {{- end }}
      env:
        - name: MAX_PROCESSES
          value: {{ .Values.maxProcesses | quote }}
        - name: CASTELLAN_TOKENS
          value: /etc/castellan/tokens.jsonl
        {{- include "castellan.secrets" . | nindent 8 }}
        {{- if eq .Values.mode "cluster" }}
        - name: NODE_NAME
          valueFrom:
            fieldRef:
              fieldPath: metadata.name
        - name: POD_IP
          valueFrom:
            fieldRef:
              fieldPath: status.podIP
        - name: ADVERTISE
          value: http://$(POD_IP):7700
        {{- end }}
        {{- with .Values.env }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      lifecycle:
        preStop:
          exec:
            command: [sleep, "5"]
      startupProbe:
        httpGet:
          path: /livez
          port: http
        periodSeconds: 2
        # As long as a new pod may wait for the journal of the one before.
        failureThreshold: 90
      livenessProbe:
        httpGet:
          path: /livez
          port: http
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 3
      readinessProbe:
        httpGet:
          path: /readyz
          port: http
        periodSeconds: 5
        timeoutSeconds: 5
        failureThreshold: 1
      resources:
        {{- toYaml .Values.resources | nindent 8 }}
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities:
          drop: [ALL]
      volumeMounts:
        - name: journal
          mountPath: /var/lib/castellan
        - name: home
          mountPath: /home/castellan
        - name: temporary
          mountPath: /tmp
        - name: tokens
          mountPath: /etc/castellan
          readOnly: true
        {{- if .Values.config }}
        - name: config
          mountPath: /app/castellan.config.ts
          subPath: castellan.config.ts
          readOnly: true
        {{- end }}
  volumes:
    - name: temporary
      emptyDir:
        sizeLimit: {{ .Values.temporarySize }}
    - name: tokens
      secret:
        secretName: {{ include "castellan.secret" . }}
        items:
          - key: tokens.jsonl
            path: tokens.jsonl
    {{- if .Values.config }}
    - name: config
      configMap:
        name: {{ include "castellan.name" . }}
    {{- end }}
    {{- if eq .Values.mode "cluster" }}
    - name: journal
      emptyDir: {}
    - name: home
      emptyDir: {}
    {{- end }}
  {{- if eq .Values.mode "cluster" }}
  topologySpreadConstraints:
    - maxSkew: 1
      topologyKey: kubernetes.io/hostname
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "castellan.selector" . | nindent 10 }}
  {{- end }}
  {{- with .Values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}

{{- define "castellan.secret" -}}
{{ required "secret is the name of a secret, see values.yaml" .Values.secret }}
{{- end }}

{{- define "castellan.secrets" -}}
{{- $secret := include "castellan.secret" . -}}
- name: ANTHROPIC_API_KEY
  valueFrom:
    secretKeyRef:
      name: {{ $secret }}
      key: anthropic-api-key
{{- if eq .Values.mode "cluster" }}
- name: DATABASE_URL
  valueFrom:
    secretKeyRef:
      name: {{ $secret }}
      key: database-url
- name: NOTIFICATIONS_URL
  valueFrom:
    secretKeyRef:
      name: {{ $secret }}
      key: notifications-url
      optional: true
- name: CLUSTER_SECRET
  valueFrom:
    secretKeyRef:
      name: {{ $secret }}
      key: cluster-secret
{{- end }}
{{- end }}
